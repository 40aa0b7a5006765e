// The kinds of backends that the server ships with.
#pragma once

#include "backends/sdk/kind.h"

namespace millrace::backend {

BackendKinds BuiltinBackends();

}  // namespace millrace::backend
