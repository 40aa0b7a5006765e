// The parts of an absolute http or https URL (RFC 3986) that a request needs.
#pragma once

#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

struct HttpUrl {
  bool tls = false;
  std::string host;              // without the brackets of an IPv6 address
  bool host_is_address = false;  // an IP address, not a name
  std::string port;              // in digits
  std::string authority;         // for the Host header: the port only where it is not the scheme's own
  std::string target;            // path and query, never empty
};

// INVALID_ARGUMENT (INVALID_FIELD): no such URL, or one with a user name.
StatusOr<HttpUrl> ParseHttpUrl(std::string_view text);

}  // namespace millrace
