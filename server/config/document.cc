#include "server/config/document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <optional>
#include <streambuf>
#include <unordered_map>

#include "server/base/utf8.h"
#include "server/config/yaml_text.h"

namespace millrace {
namespace {

// Exception that leaves the parser early; caught in this file.
struct Stop {};

// Reads from memory in place.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // never written: streambuf has no const get area
    setg(begin, begin, begin + text.size());
  }
};

Place PlaceOf(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, const YamlLimits& limits) : text_(text), limits_(limits) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!began_) {
      began_ = true;
      return;
    }
    problems.push_back(text_.ExplainSecondDocument(PlaceOf(mark)));
    throw Stop();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (anchor != 0) Refuse(mark, "anchors are not taken; write the value where it is needed");
    if (ExpectsKey()) {
      Refuse(mark, "a key must be text, got nothing or null; close lists and mappings that begin with [ or {");
      throw Stop();
    }
    Add(mark, {.kind = YamlNode::Kind::kNull, .place = PlaceOf(mark)});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases are not taken; write the value where it is needed");
    throw Stop();
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckProperties(mark, tag, anchor);
    if (tag == "!" && text_.IsUnclosedQuote(PlaceOf(mark))) {
      Refuse(mark, "the closing quote of this text is missing");
      throw Stop();
    }
    if (ExpectsKey()) {
      Level& level = levels_.back();
      const auto [known, is_new] = level.names.emplace(value, PlaceOf(mark));
      if (!is_new) {
        Refuse(mark, fmt::format("the key \"{}\" is there already, in line {}", Excerpt(value), known->second.line));
      }
      level.node->members.push_back({.name = value, .place = PlaceOf(mark), .value = {}});
      level.expects_key = false;
      Count(mark);
      return;
    }
    if (tag == "?" && text_.IsCutByComment(PlaceOf(mark), value)) {
      Refuse(mark, "the text ends before ` #`, which begins a comment; put quotes around the whole text");
    }
    Add(mark, {.kind = YamlNode::Kind::kScalar, .place = PlaceOf(mark), .text = value, .quoted = tag == "!"});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { levels_.pop_back(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { levels_.pop_back(); }

  void Refuse(const YAML::Mark& mark, std::string what) { problems.push_back({PlaceOf(mark), "", std::move(what)}); }

  // Adds the problem behind an error of the parser.
  void Explain(const YAML::Mark& mark, std::string_view error) {
    problems.push_back(text_.Explain(PlaceOf(mark), error));
  }

  YamlNode root{.place = {1, 1}};
  std::vector<Problem> problems;

 private:
  // A list or map that has not ended.
  struct Level {
    YamlNode* node;
    bool expects_key;
    std::unordered_map<std::string, Place> names;
  };

  bool ExpectsKey() const { return !levels_.empty() && levels_.back().expects_key; }

  void CheckProperties(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) Refuse(mark, "anchors are not taken; write the value where it is needed");
    if (tag != "?" && tag != "!" && !tag.empty()) {
      Refuse(mark, fmt::format("tags are not taken, got \"{}\"", Excerpt(tag)));
    }
  }

  void Count(const YAML::Mark& mark) {
    if (++nodes_ <= limits_.nodes) return;
    Refuse(mark, fmt::format("more than {} keys and values", limits_.nodes));
    throw Stop();
  }

  // Pointers to ancestors stay valid: only the innermost level grows.
  YamlNode* Add(const YAML::Mark& mark, YamlNode node) {
    Count(mark);
    if (levels_.empty()) {
      root = std::move(node);
      return &root;
    }
    Level& level = levels_.back();
    if (level.node->kind == YamlNode::Kind::kList) {
      level.node->elements.push_back(std::move(node));
      return &level.node->elements.back();
    }
    level.expects_key = true;
    level.node->members.back().value = std::move(node);
    return &level.node->members.back().value;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    CheckProperties(mark, tag, anchor);
    if (ExpectsKey()) {
      problems.push_back(text_.ExplainKey(PlaceOf(mark)));
      throw Stop();
    }
    if (static_cast<int>(levels_.size()) >= limits_.depth) {
      Refuse(mark, fmt::format("nested deeper than {}", limits_.depth));
      throw Stop();
    }
    YamlNode* node = Add(mark, {.kind = kind, .place = PlaceOf(mark)});
    levels_.push_back({node, kind == YamlNode::Kind::kMap, {}});
  }

  const YamlText text_;
  const YamlLimits limits_;
  std::vector<Level> levels_;
  size_t nodes_ = 0;
  bool began_ = false;
};

// Finds bytes that the parser would pass over: bytes that are not UTF-8, and control characters. nullopt if there are
// none.
std::optional<Problem> FindBadBytes(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf"))
    return Problem{{1, 1}, "", "begins with a byte order mark; save it as UTF-8 without"};
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff") ||
      text.substr(0, 4).find('\0') != std::string_view::npos) {
    return Problem{{1, 1}, "", "is not UTF-8; it looks like UTF-16 or UTF-32"};
  }
  Place place{1, 1};
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n') {
      place = {place.line + 1, 1};
      ++i;
      continue;
    }
    if (c < 0x80) {
      if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
        return Problem{place, "", fmt::format("control character 0x{:02x}", c)};
      }
      ++i;
      ++place.column;
      continue;
    }
    const size_t length = Utf8Length(text, i);
    if (length == 0) return Problem{place, "", fmt::format("byte 0x{:02x} is not UTF-8", c)};
    i += length;
    place.column += static_cast<int>(length);
  }
  return std::nullopt;
}

}  // namespace

StatusOr<YamlNode> ReadYaml(std::string_view text, std::string_view filename, const YamlLimits& limits) {
  if (text.size() > limits.bytes) {
    return DefinitionError(filename,
                           {{{}, "", fmt::format("has {} bytes, over the limit of {}", text.size(), limits.bytes)}});
  }
  if (const std::optional<Problem> problem = FindBadBytes(text)) return DefinitionError(filename, {*problem});
  TreeBuilder builder(text, limits);
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    // The builder has the problem.
  } catch (const YAML::Exception& error) {
    builder.Explain(error.mark.is_null() ? YAML::Mark() : error.mark, error.msg);
  } catch (const std::exception& error) {
    builder.Refuse({}, fmt::format("this is not YAML: {}", error.what()));
  }
  if (!builder.problems.empty()) return DefinitionError(filename, std::move(builder.problems));
  return std::move(builder.root);
}

}  // namespace millrace
