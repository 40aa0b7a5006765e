#include "server/text/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/text/field_tree.h"
#include "server/text/template_parser.h"

namespace millrace {
namespace {

// Most steps of one rendering: lists inside of lists multiply, even if they write nothing.
constexpr size_t kStepsMax = 10'000'000;

using Kind = TemplateNode::Kind;
using Nodes = std::vector<TemplateNode>;

bool IsTrue(const json::value& value) {
  if (value.is_null()) return false;
  if (const bool* flag = value.if_bool()) return *flag;
  if (const json::string* text = IfText(value)) return !text->empty();
  if (const json::array* list = value.if_array()) return !list->empty();
  return true;
}

// Writer of one rendering. Its functions return false if a limit is exceeded.
class Renderer {
 public:
  Renderer(const Nodes& nodes, size_t bytes_max) : nodes_(nodes), bytes_max_(bytes_max) {}

  bool RenderNodes(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (++steps_ > kStepsMax) return false;
      const TemplateNode& node = nodes_[i];
      switch (node.kind) {
        case Kind::kText:
          if (!Write(node.text)) return false;
          break;
        case Kind::kValue:
          if (const json::value* value = Find(node.text); value != nullptr && !WriteValue(*value)) return false;
          break;
        case Kind::kSection:
        case Kind::kInverted:
          if (!RenderSection(i)) return false;
          i = node.end - 1;
          break;
      }
    }
    return true;
  }

  void Push(const json::value& value) { frames_.push_back(&value); }
  std::string& text() { return text_; }
  bool is_too_long() const { return too_long_; }

 private:
  bool RenderSection(size_t index) {
    const TemplateNode& node = nodes_[index];
    const json::value* value = Find(node.text);
    const bool holds = value != nullptr && IsTrue(*value);
    if (node.kind == Kind::kInverted) return holds || RenderNodes(index + 1, node.end);
    if (!holds) return true;
    const json::array* list = value->if_array();
    if (list == nullptr) return RenderInside(*value, index);
    return std::all_of(list->begin(), list->end(),
                       [&](const json::value& element) { return RenderInside(element, index); });
  }

  bool RenderInside(const json::value& value, size_t index) {
    if (++steps_ > kStepsMax) return false;
    frames_.push_back(&value);
    const bool rendered = RenderNodes(index + 1, nodes_[index].end);
    frames_.pop_back();
    return rendered;
  }

  // The innermost value with the first part of the name decides, even if it lacks the rest.
  const json::value* Find(std::string_view name) {
    if (name == ".") return frames_.back();
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      ++steps_;
      const json::object* object = (*frame)->if_object();
      if (object == nullptr) continue;
      std::string_view rest = name;
      if (const json::value* member = FindMember(*object, rest)) return FindPath(*member, rest);
    }
    return nullptr;
  }

  bool Write(std::string_view piece) {
    too_long_ = piece.size() > bytes_max_ - text_.size();
    if (!too_long_) text_ += piece;
    return !too_long_;
  }

  // Writes the text of a value: a text as it is, others as JSON.
  bool WriteValue(const json::value& value) {
    if (value.is_null()) return true;
    if (const json::string* text = IfText(value)) return Write({text->data(), text->size()});
    return WriteAsJson(value);
  }

  bool WriteAsJson(const json::value& value) {
    switch (value.kind()) {
      case json::kind::null:
        return Write("null");
      case json::kind::bool_:
        return Write(value.get_bool() ? "true" : "false");
      case json::kind::int64:
        return Write(fmt::format("{}", value.get_int64()));
      case json::kind::uint64:
        return Write(fmt::format("{}", value.get_uint64()));
      case json::kind::double_:
      case json::kind::string:
        return Write(WriteJson(value));
      case json::kind::array: {
        std::string_view before = "[";
        for (const json::value& element : value.get_array()) {
          if (!Write(before) || !WriteAsJson(element)) return false;
          before = ", ";
        }
        return Write(before == "[" ? "[]" : "]");
      }
      case json::kind::object: {
        std::string_view before = "{";
        for (const json::key_value_pair& member : value.get_object()) {
          if (!Write(before) || !Write(WriteJson(json::value(member.key()))) || !Write(": ") ||
              !WriteAsJson(member.value())) {
            return false;
          }
          before = ", ";
        }
        return Write(before == "{" ? "{}" : "}");
      }
    }
    return true;
  }

  const Nodes& nodes_;
  const size_t bytes_max_;
  std::string text_;
  std::vector<const json::value*> frames_;
  size_t steps_ = 0;
  bool too_long_ = false;
};

// Finds the names that cannot be resolved.
class NameChecker {
 public:
  NameChecker(const Nodes& nodes, const FieldTree& item) : nodes_(nodes) { frames_.push_back(&item); }

  void Check(size_t begin, size_t end) {
    static const FieldTree any = FieldTree::Any();
    for (size_t i = begin; i < end; ++i) {
      const TemplateNode& node = nodes_[i];
      if (node.kind == Kind::kText) continue;
      const FieldTree* found = Find(node.text);
      if (found == nullptr && reported_.insert(node.text).second)
        missing.push_back({node.text, node.line, node.column});
      if (node.kind == Kind::kValue) continue;
      if (node.kind == Kind::kSection) {
        if (found != nullptr && found->is_list()) found = &found->element();
        frames_.push_back(found == nullptr ? &any : found);
      }
      Check(i + 1, node.end);
      if (node.kind == Kind::kSection) frames_.pop_back();
      i = node.end - 1;
    }
  }

  std::vector<TemplateName> missing;

 private:
  const FieldTree* Find(std::string_view name) const {
    if (name == ".") return frames_.back();
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      if ((*frame)->any()) return *frame;
      std::string_view rest = name;
      if (const FieldTree* member = (*frame)->FindMember(rest)) return member->Find(rest);
    }
    return nullptr;
  }

  const Nodes& nodes_;
  std::vector<const FieldTree*> frames_;
  std::set<std::string> reported_;
};

}  // namespace

struct Template::Parsed {
  Nodes nodes;
};

StatusOr<Template> Template::Parse(std::string_view text) {
  MR_ASSIGN_OR_RETURN(Nodes nodes, ParseTemplateNodes(text));
  return Template(std::make_shared<const Parsed>(Parsed{std::move(nodes)}));
}

StatusOr<std::string> Template::Render(const json::value& item, size_t bytes_max) const {
  Renderer renderer(parsed_->nodes, bytes_max);
  renderer.Push(item);
  if (renderer.RenderNodes(0, parsed_->nodes.size())) return std::move(renderer.text());
  return MakeError(Reason::kTemplate,
                   renderer.is_too_long()
                       ? fmt::format("the rendered text has more than {} bytes", bytes_max)
                       : fmt::format("rendering takes more than {} steps: lists inside of lists multiply", kStepsMax));
}

std::vector<TemplateName> Template::Missing(const FieldTree& item) const {
  NameChecker checker(parsed_->nodes, item);
  checker.Check(0, parsed_->nodes.size());
  return std::move(checker.missing);
}

bool Template::is_constant() const {
  return std::all_of(parsed_->nodes.begin(), parsed_->nodes.end(),
                     [](const TemplateNode& node) { return node.kind == Kind::kText; });
}

}  // namespace millrace
