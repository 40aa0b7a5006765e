#include "server/config/parameter_template.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

namespace millrace {

StatusOr<std::vector<TemplatePiece>> ParseTemplate(std::string_view text) {
  static const re2::RE2 name("[a-z][a-z0-9_]{0,62}");  // as Pipeline.parameters has it
  std::vector<TemplatePiece> pieces;
  const auto add_literal = [&](std::string_view literal) {
    if (literal.empty()) return;
    if (pieces.empty() || pieces.back().is_parameter) pieces.push_back({});
    pieces.back().text += literal;
  };
  while (true) {
    const size_t at = text.find("$(");
    if (at == std::string_view::npos) break;
    if (at > 0 && text[at - 1] == '$') {
      add_literal(text.substr(0, at - 1));
      add_literal("$(");
      text.remove_prefix(at + 2);
      continue;
    }
    add_literal(text.substr(0, at));
    text.remove_prefix(at + 2);
    const std::string_view inside = text.substr(0, text.find(')'));
    if (inside.size() == text.size() || !re2::RE2::FullMatch(re2::StringPiece(inside.data(), inside.size()), name)) {
      return MakeError(Reason::kInvalidDefinition,
                       fmt::format("\"$({}\" names no parameter; write $$( for the text $(", Excerpt(inside, 32)));
    }
    pieces.push_back({std::string(inside), true});
    text.remove_prefix(inside.size() + 1);
  }
  add_literal(text);
  return pieces;
}

bool HasParameter(const std::vector<TemplatePiece>& pieces) {
  return std::any_of(pieces.begin(), pieces.end(), [](const TemplatePiece& piece) { return piece.is_parameter; });
}

std::string LiteralText(const std::vector<TemplatePiece>& pieces) {
  std::string text;
  for (const TemplatePiece& piece : pieces) {
    if (!piece.is_parameter) text += piece.text;
  }
  return text;
}

}  // namespace millrace
