// Finds the JSON in the text that a model wrote around it.
#pragma once

#include <string_view>

namespace millrace {

// Returns the part of an answer that is most likely the requested JSON: the content of the first fenced block (```json
// …```); else the part from the first opening bracket to the last closing one; else the whole answer without white
// space around it. Does not parse the part.
std::string_view SalvageJson(std::string_view answer);

}  // namespace millrace
