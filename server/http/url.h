// Parts of an absolute http or https URL (RFC 3986) that a request needs.
#pragma once

#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

struct HttpUrl {
  bool tls = false;
  std::string host;              // without the brackets of an IPv6 address
  bool host_is_address = false;  // the host is an IP address and not a name
  std::string port;              // decimal digits, 1 to 65535
  std::string authority;         // value of the Host header: has the port only if it is not the scheme's default
  std::string target;            // path and query, never empty
};

// Parses a URL. INVALID_FIELD if it is not such a URL, or has a user name, which would not be sent.
StatusOr<HttpUrl> ParseHttpUrl(std::string_view text);

// Returns the http or https URL of a grpc or grpcs URL (server/rpc/grpc_client.h); empty for others.
std::string HttpUrlOfRpc(std::string_view url);

// Returns `scheme://host:port` of a URL, the port always written; empty if its scheme is not http, https, grpc or grpcs.
// A secret goes only to the origin that it was configured for.
std::string OriginOf(std::string_view url);

}  // namespace millrace
