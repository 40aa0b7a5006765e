// JSON out of what a model wrote around it.
#pragma once

#include <string_view>

namespace millrace {

// The part of an answer that is most likely the JSON that was asked for: what stands in a fenced block (```json …```),
// else from the first bracket to the last that closes one; else all, without white space around it. Not parsed.
std::string_view SalvageJson(std::string_view answer);

}  // namespace millrace
