#include "server/config/yaml_text.h"

#include <fmt/format.h>
#include <yaml-cpp/exceptions.h>

#include <algorithm>

namespace millrace {
namespace {

constexpr size_t kShownMax = 60;
constexpr auto kNone = std::string_view::npos;

size_t Begin(std::string_view line) { return std::min(line.find_first_not_of(' '), line.size()); }

// Returns the place of the first character after blanks and the dashes of lists.
size_t BeginOfContent(std::string_view line) {
  size_t at = Begin(line);
  while (line.substr(at).starts_with("- ")) at = std::min(line.find_first_not_of(' ', at + 1), line.size());
  return at;
}

// Returns the place of the colon that ends a key; npos if the line has none.
size_t KeyEnd(std::string_view line) {
  for (size_t colon = line.find(':'); colon != kNone; colon = line.find(':', colon + 1)) {
    if (colon + 1 == line.size() || line[colon + 1] == ' ' || line[colon + 1] == '\t') return colon;
  }
  return kNone;
}

// Returns the key of a line, for a message; `key` if it has none.
std::string KeyOf(std::string_view line) {
  const size_t begin = BeginOfContent(line);
  const size_t end = KeyEnd(line);
  return end == kNone || end < begin ? "key" : Excerpt(line.substr(begin, end - begin));
}

bool IsTabIndented(std::string_view line) {
  const std::string_view indent = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
  return indent.find('\t') != kNone && indent.size() < line.size();
}

int ColumnOf(size_t at) { return static_cast<int>(at) + 1; }

bool Is(std::string_view error, std::initializer_list<const char*> messages) {
  return std::any_of(messages.begin(), messages.end(),
                     [error](const char* message) { return error.starts_with(message); });
}

}  // namespace

YamlText::YamlText(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines_.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string_view YamlText::Line(int number) const {
  return number >= 1 && number <= static_cast<int>(lines_.size()) ? lines_[static_cast<size_t>(number) - 1]
                                                                  : std::string_view();
}

int YamlText::LineAbove(int number) const {
  for (--number; number > 0; --number) {
    const std::string_view line = Line(number);
    if (const size_t begin = line.find_first_not_of(" \t"); begin != kNone && line[begin] != '#') break;
  }
  return std::max(number, 0);
}

bool YamlText::IsUnclosedQuote(Place begin) const {
  std::string_view rest = Line(begin.line);
  rest.remove_prefix(std::min(static_cast<size_t>(begin.column) - 1, rest.size()));
  if (rest.starts_with('!')) rest.remove_prefix(std::min(rest.find_first_not_of(' ', 1), rest.size()));
  if (rest.empty() || (rest[0] != '"' && rest[0] != '\'')) return false;
  const char quote = rest[0];
  rest.remove_prefix(1);
  for (int number = begin.line; number <= static_cast<int>(lines_.size()); rest = Line(++number)) {
    for (size_t i = 0; i < rest.size(); ++i) {
      // Two single quotes are one, and close nothing; the second one may be passed over as well.
      const bool is_pair = quote == '\'' && rest.substr(i).starts_with("''");
      if (is_pair || (quote == '"' && rest[i] == '\\')) {
        ++i;
      } else if (rest[i] == quote) {
        return false;
      }
    }
  }
  return true;
}

bool YamlText::IsCutByComment(Place begin, std::string_view value) const {
  std::string_view rest = Line(begin.line);
  rest.remove_prefix(std::min(static_cast<size_t>(begin.column) - 1, rest.size()));
  if (!rest.starts_with(value)) return false;
  rest.remove_prefix(value.size());
  const size_t comment = rest.find_first_not_of(" \t");
  if (comment == kNone || rest[comment] != '#') return false;
  rest.remove_prefix(comment);
  return rest.starts_with("#{{") || (value.find("{{") != kNone && rest.find("{{") != kNone);
}

Place YamlText::FindOpen(Place place, char open, char close) const {
  int depth = 0;
  for (int number = std::min(place.line, static_cast<int>(lines_.size())); number > 0; --number) {
    std::string_view line = Line(number);
    if (number == place.line) line = line.substr(0, static_cast<size_t>(place.column) - 1);
    for (size_t i = line.size(); i-- > 0;) {
      if (line[i] == close) ++depth;
      if (line[i] == open && --depth < 0) return {number, ColumnOf(i)};
    }
  }
  return {};
}

Problem YamlText::Explain(Place place, std::string_view error) const {
  namespace Errors = YAML::ErrorMsg;
  const std::string_view line = Line(place.line);
  const std::string at =
      Excerpt(line.substr(std::min(static_cast<size_t>(place.column) - 1, line.size())).substr(0, 1));
  if (IsTabIndented(line)) return {{place.line, 1}, "", "the line is indented with a tab; indent it with blanks"};
  if (Is(error, {Errors::MAP_VALUE})) return ExplainColon(place);
  if (Is(error, {Errors::END_OF_MAP_FLOW})) return ExplainOpen(place, '{', '}');
  if (Is(error, {Errors::END_OF_SEQ_FLOW})) return ExplainOpen(place, '[', ']');
  if (Is(error, {Errors::END_OF_MAP, Errors::END_OF_SEQ})) return ExplainEnd(place);
  if (Is(error, {Errors::FLOW_END})) {
    return {place, "", fmt::format("`{}` closes nothing; put quotes around text that begins with it", at)};
  }
  if (Is(error, {Errors::BLOCK_ENTRY})) {
    return {
        place, "",
        "`- ` can't begin a list here; write its entries in lines below their key, all indented alike, or put quotes "
        "around text that begins with it"};
  }
  if (Is(error, {Errors::UNKNOWN_TOKEN})) {
    return {place, "", fmt::format("a value can't begin with `{}`; put quotes around it", at)};
  }
  if (Is(error, {Errors::UNKNOWN_ANCHOR, Errors::ALIAS_NOT_FOUND, Errors::ANCHOR_NOT_FOUND, Errors::CHAR_IN_ALIAS,
                 Errors::CHAR_IN_ANCHOR, Errors::CHAR_IN_TAG_HANDLE, Errors::TAG_WITH_NO_SUFFIX,
                 Errors::END_OF_VERBATIM_TAG})) {
    return {place, "", "a value that begins with `*`, `&` or `!` needs quotes"};
  }
  if (Is(error, {Errors::INVALID_ESCAPE, Errors::INVALID_HEX, Errors::INVALID_UNICODE})) {
    return {place, "", R"(in "…", a backslash begins an escape such as \n; write \\ for a backslash, or use '…')"};
  }
  if (Is(error, {Errors::CHAR_IN_BLOCK, Errors::ZERO_INDENT_IN_BLOCK})) {
    return {place, "", "only `-`, `+` or a digit from 1 to 9 may follow `|` or `>`; the text begins in the next line"};
  }
  if (Is(error, {Errors::EOF_IN_SCALAR, Errors::DOC_IN_SCALAR})) {
    return {place, "", "the closing quote of a text above is missing"};
  }
  if (Is(error, {Errors::MAP_KEY})) {
    return {place, "", "a key can't begin here; put quotes around text that begins with `?`"};
  }
  return {place, "", fmt::format("this is not YAML ({}); put quotes around texts, and indent with blanks", error)};
}

Problem YamlText::ExplainColon(Place place) const {
  const std::string_view line = Line(place.line);
  const size_t at = static_cast<size_t>(place.column) - 1;
  const size_t key_end = KeyEnd(line);
  if (key_end < at) {
    const size_t value = std::min(line.find_first_not_of(" \t", key_end + 1), line.size());
    return {{place.line, ColumnOf(value)},
            "",
            fmt::format("the value of `{0}` has a colon and a blank in it; put quotes around it, or write `{0}: |` and "
                        "the text in the next lines, indented",
                        KeyOf(line))};
  }
  const int above = LineAbove(place.line);
  const std::string_view before = Line(above);
  const bool has_colon = before.find(':') != kNone;
  if (has_colon && KeyEnd(before) == kNone) {
    return {{above, ColumnOf(before.find(':'))}, "", "a blank is missing after the colon; write `key: value`"};
  }
  if (above > 0 && Begin(line) > BeginOfContent(before) && KeyEnd(before) != kNone) {
    return {
        {place.line, ColumnOf(Begin(line))},
        "",
        fmt::format("the line is indented more than line {0}, which has a value already; indent it by {1}, like `{2}`, "
                    "or remove the value",
                    above, BeginOfContent(before), KeyOf(before))};
  }
  return {
      place, "",
      above > 0 && KeyEnd(before) == kNone
          ? fmt::format(
                "line {} above is not `key: value`; add the colon, or put quotes around a text of several lines", above)
          : "a key can't begin here; indent the keys of one mapping alike, and put quotes around text with a colon"};
}

Problem YamlText::ExplainEnd(Place place) const {
  const std::string_view line = Line(place.line);
  const size_t at = std::min(static_cast<size_t>(place.column) - 1, line.size());
  const std::string_view before = line.substr(0, at);
  const size_t last = before.find_last_not_of(" \t");
  if (last != kNone && std::string_view("'\"]}").find(before[last]) != kNone) {
    const std::string_view hint = before[last] == '\''  ? " (inside '…', write '' for an apostrophe)"
                                  : before[last] == '"' ? R"( (inside "…", write \" for a quote))"
                                                        : "";
    return {place, "",
            fmt::format("text follows the closing `{}`; put quotes around the whole value{}", before[last], hint)};
  }
  if (last != kNone) {
    return {place, "", fmt::format("a value can't begin with `{}`; put quotes around it", Excerpt(line.substr(at, 1)))};
  }
  if (IsUnclosedQuote(place)) return {place, "", "the closing quote of this text is missing"};
  if (KeyEnd(line) == kNone && !line.substr(at).starts_with("- ")) {
    return {place, "", "the line is not `key: value`; add the colon, or indent the line if it belongs to a text above"};
  }
  const int above = LineAbove(place.line);
  return {
      place, "",
      fmt::format("its indentation of {} fits nothing above; what belongs together is indented alike: line {} has {}",
                  at, above, BeginOfContent(Line(above)))};
}

Problem YamlText::ExplainOpen(Place place, char open, char close) const {
  const Place opened = FindOpen(place, open, close);
  return {
      opened.line > 0 ? opened : place, "",
      fmt::format("`{}` is not closed by `{}`; close it, or put quotes around text that begins with it", open, close)};
}

Problem YamlText::ExplainKey(Place place) const {
  const std::string_view line = Line(place.line);
  const size_t at = static_cast<size_t>(place.column) - 1;
  const size_t begin = at > 0 ? at - 1 : at;
  if (line.substr(std::min(begin, line.size())).starts_with("{{")) {
    return {{place.line, ColumnOf(begin)}, "", R"(text that begins with {{ needs quotes: "{{field}} …")"};
  }
  return {place, "", "a key must be text, got a list or mapping; put quotes around it if it is text"};
}

Problem YamlText::ExplainSecondDocument(Place place) const {
  const std::string_view line = Line(place.line);
  if (line.starts_with("---") || Line(place.line - 1).starts_with("---")) {
    return {place, "", "a second document begins; only one is taken"};
  }
  return {
      place, "",
      fmt::format("the line does not belong to what is above it, a second document begins: {}; a file is one mapping",
                  Excerpt(line, kShownMax))};
}

}  // namespace millrace
