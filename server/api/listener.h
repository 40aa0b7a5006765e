// Listening sockets: on a loopback address, and in a data directory.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "server/base/fd.h"
#include "server/base/status.h"

namespace millrace::api {

// Name of the socket in a data directory.
inline constexpr std::string_view kSocketName = "millrace.sock";

// A listening socket. The destructor removes a unix socket's file, unless another socket has taken its place.
class Listener {
 public:
  // Listens on `address`, `host:port`; port 0: any free port. INVALID_ARGUMENT (INVALID_FIELD): it has another form, or
  // is not a loopback address. FAILED_PRECONDITION (FILE_ERROR): the address is taken or can't be used.
  static StatusOr<Listener> Tcp(std::string_view address);

  // Listens on `DIR/millrace.sock`, for this user only. Replaces a socket that exists. REQUIRES: the caller holds the
  // directory's store, so that an existing socket is stale. FAILED_PRECONDITION (FILE_ERROR).
  static StatusOr<Listener> Unix(const std::string& directory);

  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return fd_.get(); }
  // The TCP port that was bound; 0 for a unix socket.
  int port() const { return port_; }

 private:
  Listener() = default;

  UniqueFd fd_;
  int port_ = 0;
  UniqueFd directory_;  // directory of a unix socket
  ino_t inode_ = 0;     // inode of the socket's file
};

// Returns a path of the socket in an open directory that fits into a socket address, however long the directory's own
// path is.
std::string SocketPath(int directory_fd);

}  // namespace millrace::api
