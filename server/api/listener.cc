#include "server/api/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace millrace::api {
namespace {

constexpr int kBacklog = 512;

bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24) == 127;
  }
  if (address.sa_family == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
  }
  return false;
}

Status AddressError(std::string_view address, std::string_view what) {
  const std::string message = fmt::format("grpc.address: {}, got `{}`", what, Excerpt(address));
  return MakeFieldError(Reason::kInvalidField, message, {{"grpc.address", std::string(what)}});
}

Status SystemError(std::string_view what) {
  return MakeError(Reason::kFileError, fmt::format("{}: {}", what, strerror(errno)));
}

}  // namespace

std::string SocketPath(int directory_fd) { return fmt::format("/proc/self/fd/{}/{}", directory_fd, kSocketName); }

StatusOr<Listener> Listener::Tcp(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return AddressError(address, "expected `host:port`");
  std::string host(address.substr(0, colon));
  const std::string port(address.substr(colon + 1));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  if (host.empty() || port.empty() || getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return AddressError(address, "expected `host:port` with the address in numbers");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  if (!IsLoopback(*found->ai_addr)) {
    return AddressError(address,
                        "expected a loopback address such as 127.0.0.1:7400, because the API has no authentication");
  }

  Listener listener;
  listener.fd_.Reset(socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener.fd_) return SystemError("socket");
  // For connections in TIME_WAIT only. SO_REUSEPORT would let a second server share the port unnoticed.
  const int on = 1;
  setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener.fd(), found->ai_addr, found->ai_addrlen) != 0 || listen(listener.fd(), kBacklog) != 0) {
    return SystemError(fmt::format("grpc.address {}", Excerpt(address)));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  if (getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) return SystemError("getsockname");
  listener.port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                     : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return listener;
}

StatusOr<Listener> Listener::Unix(const std::string& directory) {
  Listener listener;
  listener.directory_.Reset(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!listener.directory_) return SystemError("data_dir");
  const int at = listener.directory_.get();
  const std::string name(kSocketName);

  struct stat there {};
  if (fstatat(at, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return MakeError(Reason::kFileError, fmt::format("{} in the data directory is not a socket", name));
    }
    unlinkat(at, name.c_str(), 0);
  }

  listener.fd_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener.fd_) return SystemError("socket");
  // Sets the mode that bind creates the file with, so that others can't connect even for a moment.
  fchmod(listener.fd(), S_IRUSR | S_IWUSR);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = SocketPath(at);
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (bind(listener.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.fd(), kBacklog) != 0) {
    return SystemError(name);
  }
  if (fstatat(at, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return SystemError(name);
  listener.inode_ = there.st_ino;
  return listener;
}

Listener::~Listener() {
  if (!directory_) return;
  const std::string name(kSocketName);
  struct stat there {};
  if (fstatat(directory_.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == inode_) {
    unlinkat(directory_.get(), name.c_str(), 0);
  }
}

}  // namespace millrace::api
