#include "server/config/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>

namespace millrace {
namespace {

std::optional<uint32_t> ParseIpv4(std::string_view host) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::optional<in6_addr> ParseIpv6(std::string_view host) {
  in6_addr address{};
  if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return address;
}

}  // namespace

std::optional<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const std::from_chars_result result = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!ParseIpv6(host)) return std::nullopt;
  } else if (host.empty() || host.find(':') != std::string_view::npos) {
    return std::nullopt;
  }
  return HostPort{std::string(host), port};
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost") return true;
  if (const std::optional<uint32_t> address = ParseIpv4(host)) return *address >> 24 == 127;
  if (const std::optional<in6_addr> address = ParseIpv6(host)) return IN6_IS_ADDR_LOOPBACK(&*address);
  return false;
}

}  // namespace millrace
