// Adds a backend's secret to its requests.
#pragma once

#include <optional>

#include "backends/sdk/backend.h"
#include "server/http/client.h"
#include "server/llm/target.h"

namespace millrace {

// Adds to `request` what `auth` asks for, with the secret of `entry`, if the request goes to the origin that the secret
// is for. Returns the failure of a request that can't be authorized, which must not be sent.
std::optional<backend::Failure> Authorize(const BackendEntry& entry, const backend::Auth& auth, HttpRequest& request);

}  // namespace millrace
