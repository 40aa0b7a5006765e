// The question after an answer that does not fit the schema: the conversation continues with the answer and its fault.
#pragma once

#include <string>

#include "backends/sdk/backend.h"
#include "server/base/status.h"

namespace millrace {

backend::Request RepairRequest(backend::Request question, std::string answer, const Status& fault);

}  // namespace millrace
