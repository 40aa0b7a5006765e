// Text in which `$(name)` stands for a parameter; `$$(` is a literal `$(`.
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

// The pieces in order, literal ones never empty. INVALID_ARGUMENT where a `$(` is not followed by a name and `)`.
StatusOr<std::vector<TemplatePiece>> ParseTemplate(std::string_view text);

bool HasParameter(const std::vector<TemplatePiece>& pieces);

// The literal pieces together.
std::string LiteralText(const std::vector<TemplatePiece>& pieces);

}  // namespace millrace
