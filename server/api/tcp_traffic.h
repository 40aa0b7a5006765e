// What has passed over a TCP connection, as the kernel counts.
#pragma once

#include <cstdint>
#include <optional>

namespace millrace::api {

struct TcpTraffic {
  uint64_t received = 0;      // bytes that have arrived
  uint64_t acknowledged = 0;  // bytes of ours that have reached the other side
};

// Nothing where the descriptor is no TCP connection.
std::optional<TcpTraffic> TrafficOf(int fd);

}  // namespace millrace::api
