#include "server/http/guard.h"

#include <boost/asio/ip/address.hpp>

#include "server/http/url.h"

namespace millrace {
namespace {

namespace ip = boost::asio::ip;

// Loopback, RFC 1918 and RFC 4193.
bool IsNear(const ip::address& address) {
  if (address.is_v6()) return address.is_loopback() || (address.to_v6().to_bytes()[0] & 0xfe) == 0xfc;
  const auto bytes = address.to_v4().to_bytes();
  return bytes[0] == 127 || bytes[0] == 10 || (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) ||
         (bytes[0] == 192 && bytes[1] == 168);
}

// Returns true for addresses that no provider has: unspecified, multicast, and link-local, among which is
// 169.254.169.254, the service that gives out a cloud's credentials.
bool IsNobody(const ip::address& address) {
  if (address.is_unspecified() || address.is_multicast()) return true;
  if (address.is_v6()) return address.to_v6().is_link_local();
  const auto bytes = address.to_v4().to_bytes();
  return bytes[0] == 0 || (bytes[0] == 169 && bytes[1] == 254);
}

Status Refuse(std::string_view why) { return MakeError(Reason::kInvalidDefinition, why); }

}  // namespace

Status CheckBackendUrl(std::string_view text) {
  if (text.find_first_of("?#") != std::string_view::npos) return Refuse("the URL has a query or fragment");
  const StatusOr<HttpUrl> url = ParseHttpUrl(text);
  if (!url.ok()) return Refuse(MessageOf(url.status()));
  boost::system::error_code error;
  ip::address address = ip::make_address(url->host, error);
  if (!error && address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = ip::make_address_v4(ip::v4_mapped, address.to_v6());
  }
  if (!error && IsNobody(address)) return Refuse("the URL names an address that no provider has");
  const bool is_near = url->host == "localhost" || (!error && IsNear(address));
  if (url->tls || is_near) return absl::OkStatus();
  return Refuse("the URL uses http, which only loopback and private addresses may; use https");
}

}  // namespace millrace
