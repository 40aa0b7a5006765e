// The backends as clients see them: what the configuration says, and what their servers answer now.
#pragma once

#include "millrace/v1/admin_service.pb.h"
#include "server/base/loop.h"
#include "server/llm/models.h"
#include "server/llm/prober.h"

namespace millrace {

// Asks the servers all at once, if the request says so: this takes as long as the slowest probe. All arguments must
// outlive it.
Task<v1::ListBackendsResponse> ReportBackends(Loop& loop, const Models& models, Prober& prober,
                                              v1::ListBackendsRequest request);

}  // namespace millrace
