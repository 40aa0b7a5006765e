// Addresses that a configuration may name.
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

// localhost, 127.0.0.0/8 or ::1.
bool IsLoopback(std::string_view host);

// Loopback, or an address of RFC 1918 or RFC 4193. Names are not looked up.
bool IsPrivate(std::string_view host);

// What is wrong with a provider's URL; empty: nothing. https to anyone, http only to private addresses; no user, query
// or fragment.
std::string WhyNoBaseUrl(std::string_view url);

}  // namespace millrace
