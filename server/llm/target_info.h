// Targets as clients see them.
#pragma once

#include "millrace/v1/admin_service.pb.h"
#include "server/base/clock.h"
#include "server/llm/target.h"

namespace millrace {

v1::TargetInfo InfoOf(const Target& target, const Clock& clock);

}  // namespace millrace
