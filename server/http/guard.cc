#include "server/http/guard.h"

#include <boost/asio/ip/address.hpp>

#include "server/http/url.h"

namespace millrace {
namespace {

namespace ip = boost::asio::ip;

// Loopback, RFC 1918 and RFC 4193. Not link-local: 169.254.169.254 hands out a cloud's credentials.
bool IsNear(const ip::address& address) {
  if (address.is_v6()) return address.is_loopback() || (address.to_v6().to_bytes()[0] & 0xfe) == 0xfc;
  const auto bytes = address.to_v4().to_bytes();
  return bytes[0] == 127 || bytes[0] == 10 || (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) ||
         (bytes[0] == 192 && bytes[1] == 168);
}

}  // namespace

Status CheckBackendUrl(std::string_view text) {
  const StatusOr<HttpUrl> url = ParseHttpUrl(text);
  if (!url.ok()) return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_DEFINITION", MessageOf(url.status()));
  if (url->tls || url->host == "localhost") return absl::OkStatus();
  boost::system::error_code error;
  const ip::address address = ip::make_address(url->host, error);
  if (!error && IsNear(address)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_DEFINITION",
                   "the URL is http to another than a loopback or private address: use https");
}

}  // namespace millrace
