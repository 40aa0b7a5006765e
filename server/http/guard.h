// Check of the URLs with which backends are configured.
#pragma once

#include <string_view>

#include "server/base/status.h"

namespace millrace {

// Accepts https to all hosts but link-local, multicast and unspecified addresses, and http to this machine and private
// networks only, because keys and texts would be readable on the way. The URL must have no user, query or fragment,
// because paths are appended to it. Does not resolve names. INVALID_DEFINITION for any other URL.
Status CheckBackendUrl(std::string_view url);

}  // namespace millrace
