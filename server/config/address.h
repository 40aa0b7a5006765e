// Network addresses in a configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

// A host and port, as in `127.0.0.1:7400`, `localhost:7400` or `[::1]:7400`.
struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;
};
std::optional<HostPort> ParseHostPort(std::string_view text);

// Returns true for localhost, 127.0.0.0/8 and ::1.
bool IsLoopback(std::string_view host);

}  // namespace millrace
