// Which URLs a backend may be configured with.
#pragma once

#include <string_view>

#include "server/base/status.h"

namespace millrace {

// https to anyone but link-local, multicast and unspecified addresses; http only to this machine or a private network,
// since keys and texts would go out in the clear. No user, query or fragment: paths are put behind it. Names are not
// looked up.
// INVALID_ARGUMENT (INVALID_DEFINITION) otherwise.
Status CheckBackendUrl(std::string_view url);

}  // namespace millrace
