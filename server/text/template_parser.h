// Parser of templates (template.h): from a text to its pieces of text, values and sections.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace {

// A part of a template. The nodes inside a section follow it, up to `end`.
struct TemplateNode {
  enum class Kind { kText, kValue, kSection, kInverted };

  Kind kind = Kind::kText;
  std::string text;  // literal text, or a name
  size_t line = 0;   // of the tag, counted from 1
  size_t column = 0;
  size_t end = 0;  // of a section: the index after its last node
};

// Returns the nodes of a template. Errors: those of Template::Parse.
StatusOr<std::vector<TemplateNode>> ParseTemplateNodes(std::string_view text);

}  // namespace millrace
