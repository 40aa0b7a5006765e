// A file of its own, because <linux/tcp.h>, which alone has these counters, and <netinet/tcp.h> exclude each other.
#include "server/api/tcp_traffic.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace millrace::api {

std::optional<TcpTraffic> TrafficOf(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return TcpTraffic{.received = info.tcpi_bytes_received, .acknowledged = info.tcpi_bytes_acked};
}

}  // namespace millrace::api
