// Sockets that listen: a loopback address, and the socket of a data directory.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "server/base/fd.h"
#include "server/base/status.h"

namespace millrace::api {

// Name of the socket in a data directory.
inline constexpr std::string_view kSocketName = "millrace.sock";

// A socket that listens. A unix socket's file is removed when it goes, unless another has taken its place.
class Listener {
 public:
  // `address` is `host:port`; port 0: any. INVALID_ARGUMENT (INVALID_FIELD): not of that form, or no loopback address.
  // FAILED_PRECONDITION (FILE_ERROR): taken, or not to be had.
  static StatusOr<Listener> Tcp(std::string_view address);

  // `DIR/millrace.sock`, for this user only. A socket that is there already is taken for stale: only the holder of the
  // directory's store may call this.
  static StatusOr<Listener> Unix(const std::string& directory);

  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return fd_.get(); }
  // Of TCP: the port that was given; 0 otherwise.
  int port() const { return port_; }
  bool is_unix() const { return static_cast<bool>(directory_); }

 private:
  Listener() = default;

  UniqueFd fd_;
  int port_ = 0;
  UniqueFd directory_;  // of a unix socket
  ino_t inode_ = 0;     // of its file
};

// The name by which the socket of an open directory fits into a socket address, however long the directory's path is.
std::string SocketPath(int directory_fd);

}  // namespace millrace::api
