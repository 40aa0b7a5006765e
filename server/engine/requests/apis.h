// The four APIs together, as the server and its tests hand them on.
#pragma once

#include "server/engine/requests/admin_api.h"
#include "server/engine/requests/completions_api.h"
#include "server/engine/requests/pipelines_api.h"
#include "server/engine/requests/runs_api.h"

namespace millrace {

// References: whoever made the APIs keeps them alive.
struct Apis {
  PipelinesApi& pipelines;
  RunsApi& runs;
  CompletionsApi& completions;
  AdminApi& admin;
};

}  // namespace millrace
