#include "server/text/template_parser.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

namespace millrace {
namespace {

// Most sections in a template: rendering recurses into them.
constexpr size_t kSectionsMax = 256;
// Longest name in bytes, as that of a field in a condition.
constexpr size_t kNameBytesMax = 256;
constexpr std::string_view kBlanks = " \t\r\n";

using Kind = TemplateNode::Kind;

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

// Returns the fault of a name that comes from another template language, with its remedy; empty if it has none. Names
// of columns have blanks, brackets and other marks (`Price (USD)`), so this refuses only what can hardly be one. The
// check of the fields finds the rest, once the fields are known.
std::string ForeignName(char sigil, std::string_view name) {
  static const re2::RE2 kBlock(R"(^(?:if|unless|each|with)\s+(?:this\.|\.)?(\S+))");
  static const re2::RE2 kElement(R"(^([\w.]*\w)\[(?:(\d+)|['"]([^'"]+)['"])\])");
  static const re2::RE2 kData(R"(^@(?:index|first|last|key|root)\b)");
  static const re2::RE2 kMargin(R"(^[-~]\s*(.*?)\s*[-~]?$|^(.*?)\s*(?:\s-|~)$)");
  static const re2::RE2 kExpression(
      R"(==|!=|&&|\?\?|\s\?\s.*\s:\s|^["'].*["']$|\s(?:or|and)\s+["']|\sif\s.*\selse\s|^[\w.]*\.\w+\()");
  const auto write = [](std::string_view field) { return fmt::format("write {{{{{}}}}}", Excerpt(field, 64)); };
  std::string part;
  std::string index;
  std::string key;
  if (const size_t bar = name.find('|'); bar != std::string_view::npos) {
    return fmt::format("templates have no filters; {} and change the field by a rule of a prepare stage before",
                       write(Trimmed(name.substr(0, bar))));
  }
  if (sigil == '#' && re2::RE2::PartialMatch(Piece(name), kBlock, &part)) {
    return fmt::format("a section is only named after its field: write {{{{#{0}}}}}…{{{{/{0}}}}}", Excerpt(part, 64));
  }
  if (sigil == 0 && name == "else") {
    return "templates have no else; write {{^name}}…{{/name}} for a value that is absent or empty";
  }
  if (name == "this") return "the value of a section is {{.}}";
  if (name.starts_with("this.")) return write(name.substr(5));
  if (name.starts_with("../")) return "a name is searched outside of the section too; " + write(name.substr(3));
  if (re2::RE2::PartialMatch(Piece(name), kData)) return "a section over a list does not count";
  if (name.size() > 1 && name.front() == '.') return "a name does not begin with a dot; " + write(name.substr(1));
  if (re2::RE2::FullMatch(Piece(name), kMargin, &part, &key)) {
    return "tags don't trim the text around them; " + write(part.empty() ? key : part);
  }
  if (re2::RE2::PartialMatch(Piece(name), kElement, &part, &index, &key)) {
    return write(fmt::format("{}.{}{}", part, index, key));
  }
  if (re2::RE2::PartialMatch(Piece(name), kExpression)) {
    return "templates have no expressions, only names of fields; compute the field by a rule of a prepare stage before";
  }
  return "";
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  StatusOr<std::vector<TemplateNode>> Parse() {
    MR_RETURN_IF_ERROR(RefuseStatements());
    while (at_ < text_.size()) {
      const size_t tag = text_.find("{{", at_);
      if (tag == std::string_view::npos) break;
      MR_RETURN_IF_ERROR(TakeTag(tag));
    }
    AddText(text_.substr(std::min(at_, text_.size())));
    if (!open_.empty()) {
      const TemplateNode& section = nodes_[open_.back()];
      return Wrong(section.line, section.column,
                   fmt::format("the section \"{}\" is not closed", Excerpt(section.text)));
    }
    return std::move(nodes_);
  }

 private:
  static Status Wrong(size_t line, size_t column, std::string_view what) {
    return MakeError(Reason::kTemplate, fmt::format("line {}, column {}: {}", line, column, what));
  }

  // Counts lines up to `place`. Places only grow.
  void MoveTo(size_t place) {
    for (; counted_ < place; ++counted_) {
      if (text_[counted_] != '\n') continue;
      ++line_;
      line_begin_ = counted_ + 1;
    }
  }
  Status WrongAt(size_t place, std::string_view what) {
    MoveTo(place);
    return Wrong(line_, place - line_begin_ + 1, what);
  }

  // Statements of Jinja and Liquid would be sent to the model as they are.
  Status RefuseStatements() {
    static const re2::RE2 kStatement(
        R"(\{%[-+~]?\s*(?:for|endfor|if|elif|elsif|else|endif|unless|set|assign|block|macro|include|raw|endraw|with)\b[^%]*%\})");
    static const re2::RE2 kEmbedded(R"(<%=?\s*[\w.]+\s*%>)");
    re2::StringPiece found;
    const re2::StringPiece whole(text_.data(), text_.size());
    for (const re2::RE2* pattern : {&kStatement, &kEmbedded}) {
      if (!pattern->Match(whole, 0, whole.size(), re2::RE2::UNANCHORED, &found, 1)) continue;
      Parser place(text_);
      return place.WrongAt(
          static_cast<size_t>(found.data() - whole.data()),
          fmt::format("`{}` is not Mustache; write {{{{name}}}} for a field, {{{{#name}}}}…{{{{/name}}}} "
                      "for a list or a condition",
                      Excerpt(std::string_view(found.data(), found.size()), 64)));
    }
    return absl::OkStatus();
  }

  void AddText(std::string_view text) {
    if (!text.empty()) nodes_.push_back({.kind = Kind::kText, .text = std::string(text)});
  }

  Status TakeTag(size_t tag) {
    MoveTo(tag);
    const size_t line = line_;
    const size_t column = tag - line_begin_ + 1;
    const size_t inner = tag + 2;
    const bool triple = inner < text_.size() && text_[inner] == '{';
    const std::string_view closing = triple ? "}}}" : "}}";
    const size_t close = text_.find(closing, inner);
    if (close == std::string_view::npos) return Wrong(line, column, "the tag is not closed");
    std::string_view content = text_.substr(inner + (triple ? 1 : 0), close - inner - (triple ? 1 : 0));
    const size_t end = close + closing.size();
    content = Trimmed(content);
    char sigil = 0;
    if (!triple && !content.empty() && std::string_view("#^/!&>=").find(content.front()) != std::string_view::npos) {
      sigil = content.front();
      content = Trimmed(content.substr(1));
    }
    if (sigil == '>') return Wrong(line, column, "a template can't include another (`{{>`)");
    if (sigil == '=') return Wrong(line, column, "a template can't change its delimiters (`{{=`)");
    if (sigil != '!') MR_RETURN_IF_ERROR(CheckName(sigil, content, line, column));

    size_t text_end = tag;
    size_t next = end;
    if (sigil != 0 && sigil != '&') DropStandaloneLine(text_end, next);
    AddText(text_.substr(at_, text_end - at_));
    at_ = next;
    switch (sigil) {
      case '!':
        return absl::OkStatus();
      case '#':
      case '^':
        if (++sections_ > kSectionsMax) return Wrong(line, column, fmt::format("more than {} sections", kSectionsMax));
        open_.push_back(nodes_.size());
        nodes_.push_back({.kind = sigil == '#' ? Kind::kSection : Kind::kInverted,
                          .text = std::string(content),
                          .line = line,
                          .column = column});
        return absl::OkStatus();
      case '/':
        return Close(content, line, column);
      default:
        nodes_.push_back({.kind = Kind::kValue, .text = std::string(content), .line = line, .column = column});
        return absl::OkStatus();
    }
  }

  static Status CheckName(char sigil, std::string_view name, size_t line, size_t column) {
    if (name.empty()) return Wrong(line, column, "the tag names no field");
    if (name.size() > kNameBytesMax) {
      return Wrong(line, column, fmt::format("the name \"{}\" has more than {} bytes", Excerpt(name), kNameBytesMax));
    }
    if (name.find("{{") != std::string_view::npos) return Wrong(line, column, "the tag is not closed");
    if (sigil == '/') return absl::OkStatus();
    const std::string foreign = ForeignName(sigil, name);
    if (foreign.empty()) return absl::OkStatus();
    return Wrong(line, column, fmt::format("\"{}\" is not the name of a field: {}", Excerpt(name, 64), foreign));
  }

  Status Close(std::string_view name, size_t line, size_t column) {
    if (open_.empty()) return Wrong(line, column, fmt::format("no section \"{}\" is open", Excerpt(name)));
    TemplateNode& section = nodes_[open_.back()];
    if (section.text != name) {
      return Wrong(line, column,
                   fmt::format("the section \"{}\" (line {}) must be closed before \"{}\"", Excerpt(section.text),
                               section.line, Excerpt(name)));
    }
    section.end = nodes_.size();
    open_.pop_back();
    return absl::OkStatus();
  }

  // If the tag from `text_end` to `next` is alone on its line, extends both so that the whole line is left out.
  void DropStandaloneLine(size_t& text_end, size_t& next) const {
    size_t begin = text_end;
    while (begin > 0 && (text_[begin - 1] == ' ' || text_[begin - 1] == '\t')) --begin;
    if (begin > 0 && text_[begin - 1] != '\n') return;
    size_t end = next;
    while (end < text_.size() && (text_[end] == ' ' || text_[end] == '\t')) ++end;
    if (end < text_.size() && text_[end] == '\r' && end + 1 < text_.size() && text_[end + 1] == '\n') ++end;
    if (end < text_.size() && text_[end] != '\n') return;
    // The line may begin inside of a tag that ends on it.
    text_end = std::max(begin, at_);
    next = std::min(end + 1, text_.size());
  }

  const std::string_view text_;
  size_t at_ = 0;  // what comes before is in `nodes_`
  size_t counted_ = 0;
  size_t line_ = 1;
  size_t line_begin_ = 0;
  size_t sections_ = 0;
  std::vector<TemplateNode> nodes_;
  std::vector<size_t> open_;  // sections that are not closed
};

}  // namespace

StatusOr<std::vector<TemplateNode>> ParseTemplateNodes(std::string_view text) { return Parser(text).Parse(); }

}  // namespace millrace
