// Templates: text in which `$(name)` stands for a parameter, and `$$(` for a literal `$(`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace {

struct TemplatePiece {
  std::string text;  // literal text, or a parameter's name
  bool is_parameter = false;
};

// Returns the pieces in order; literal ones are never empty. INVALID_ARGUMENT (INVALID_DEFINITION) if a name and `)` do
// not follow a `$(`.
StatusOr<std::vector<TemplatePiece>> ParseTemplate(std::string_view text);

bool HasParameter(const std::vector<TemplatePiece>& pieces);

// Returns the literal pieces joined.
std::string LiteralText(const std::vector<TemplatePiece>& pieces);

}  // namespace millrace
