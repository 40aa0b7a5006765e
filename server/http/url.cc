#include "server/http/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

// Defines Boost.URL's functions in this file, because Debian has its headers only.
#include <boost/url/src.hpp>

namespace millrace {

namespace urls = boost::urls;

StatusOr<HttpUrl> ParseHttpUrl(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return MakeError(Reason::kInvalidField, fmt::format("the URL {}", why));
  };
  const auto parsed = urls::parse_uri(urls::string_view(text.data(), text.size()));
  if (!parsed) return refuse("is not an absolute URL");
  const urls::url_view& url = *parsed;
  const auto own = [](auto view) { return std::string(view.data(), view.size()); };
  HttpUrl result;
  if (url.scheme_id() != urls::scheme::http && url.scheme_id() != urls::scheme::https) {
    return refuse("is neither http nor https");
  }
  result.tls = url.scheme_id() == urls::scheme::https;
  if (!url.has_authority() || url.encoded_host().empty()) return refuse("names no host");
  if (url.has_userinfo()) return refuse("has a user name, which is not sent");
  const bool ipv6 = url.host_type() == urls::host_type::ipv6;
  result.host_is_address = ipv6 || url.host_type() == urls::host_type::ipv4;
  result.host = ipv6 ? url.host_ipv6_address().to_string() : own(url.encoded_host());
  if (!result.host_is_address && result.host.find('%') != std::string::npos) return refuse("has an escaped host name");
  const std::string default_port = result.tls ? "443" : "80";
  result.port = url.has_port() && !url.port().empty() ? own(url.port()) : default_port;
  uint16_t port = 0;
  std::from_chars(result.port.data(), result.port.data() + result.port.size(), port);  // stays 0 beyond 65535
  if (port == 0) return refuse("has a port that is not between 1 and 65535");
  result.authority = own(url.encoded_host());
  if (result.port != default_port) result.authority += fmt::format(":{}", result.port);
  const std::string path = own(url.encoded_path());
  result.target = fmt::format("{}{}", path.starts_with('/') ? "" : "/", path);
  if (url.has_query()) result.target += fmt::format("?{}", own(url.encoded_query()));
  return result;
}

std::string HttpUrlOfRpc(std::string_view url) {
  const bool is_rpc = url.starts_with("grpc://") || url.starts_with("grpcs://");
  return is_rpc ? "http" + std::string(url.substr(4)) : "";
}

std::string OriginOf(std::string_view url) {
  if (const std::string http = HttpUrlOfRpc(url); !http.empty()) {
    const std::string origin = OriginOf(http);
    return origin.empty() ? "" : "grpc" + origin.substr(4);
  }
  const StatusOr<HttpUrl> parsed = ParseHttpUrl(url);
  if (!parsed.ok()) return "";
  const bool is_ipv6 = parsed->host.find(':') != std::string::npos;
  std::string host = is_ipv6 ? fmt::format("[{}]", parsed->host) : parsed->host;
  std::transform(host.begin(), host.end(), host.begin(), [](unsigned char c) { return std::tolower(c); });
  return fmt::format("{}://{}:{}", parsed->tls ? "https" : "http", host, parsed->port);
}

}  // namespace millrace
