#include "server/llm/target.h"

#include <fmt/format.h>

namespace millrace {

std::string Target::Name() const { return fmt::format("{}/{}", entry->name, model); }

}  // namespace millrace
