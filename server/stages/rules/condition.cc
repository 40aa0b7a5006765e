#include "server/stages/rules/condition.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/text/pattern.h"

namespace millrace::rules {
namespace {

constexpr int kDepthMax = 32;

// Lets a set of std::string be searched by std::string_view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using TextSet = std::unordered_set<std::string, TextHash, std::equal_to<>>;

std::string_view View(const json::string& text) { return {text.data(), text.size()}; }

bool IsNumberLikeText(const json::value& value) {
  const json::string* text = IfText(value);
  return text != nullptr && LooksLikeNumber(View(*text));
}

}  // namespace

struct ConditionEvaluator::Node {
  enum class Kind {
    kAll,
    kAny,
    kNot,
    kEquals,
    kLess,
    kAtMost,
    kGreater,
    kAtLeast,
    kMatches,
    kContains,
    kOneOf,
    kExists
  };

  Kind kind = Kind::kAll;
  bool negated = false;        // of kEquals and kExists
  std::vector<Node> children;  // of kAll, kAny, kNot
  std::string field;           // of comparisons
  json::value constant;        // of kEquals, kContains, the four orders
  std::optional<Pattern> pattern;
  TextSet texts;                    // of kOneOf
  std::vector<json::value> others;  // of kOneOf: values that are not text
  bool has_numbers = false;         // of kEquals, kOneOf and the orders: compares with a number
  bool has_number_texts = false;    // of kEquals and kOneOf: compares with text that looks like a number

  bool Holds(const json::value& item, Oddities* oddities) const;
  bool Compare(const json::value* value) const;
  bool CompareNumber(const json::value* value) const;
  void Note(const json::value* value, Oddities& oddities) const;
};

bool ConditionEvaluator::Node::Holds(const json::value& item, Oddities* oddities) const {
  switch (kind) {
    case Kind::kAll:
      for (const Node& child : children) {
        if (!child.Holds(item, oddities)) return false;
      }
      return true;
    case Kind::kAny:
      for (const Node& child : children) {
        if (child.Holds(item, oddities)) return true;
      }
      return false;
    case Kind::kNot:
      return !children[0].Holds(item, oddities);
    default: {
      const json::value* value = FindPath(item, field);
      if (oddities != nullptr) Note(value, *oddities);
      return Compare(value);
    }
  }
}

void ConditionEvaluator::Node::Note(const json::value* value, Oddities& oddities) const {
  if (value == nullptr) return;
  if (has_numbers && !has_number_texts && IsNumberLikeText(*value)) {
    oddities.Note(storage::v1::Oddity::KIND_TEXT_COMPARED_AS_NUMBER, field, *value);
  } else if (has_number_texts && !has_numbers && IsNumber(*value)) {
    oddities.Note(storage::v1::Oddity::KIND_NUMBER_COMPARED_AS_TEXT, field, *value);
  }
}

bool ConditionEvaluator::Node::CompareNumber(const json::value* value) const {
  if (value == nullptr || !IsNumber(*value)) return false;
  const int order = CompareNumbers(*value, constant);
  switch (kind) {
    case Kind::kLess:
      return order < 0;
    case Kind::kAtMost:
      return order <= 0;
    case Kind::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

bool ConditionEvaluator::Node::Compare(const json::value* value) const {
  static const json::value null;
  switch (kind) {
    case Kind::kEquals:
      return EqualJson(value == nullptr ? null : *value, constant) != negated;
    case Kind::kMatches: {
      const json::string* text = value == nullptr ? nullptr : IfText(*value);
      return text != nullptr && pattern->Matches(View(*text));
    }
    case Kind::kContains:
      if (value == nullptr) return false;
      if (const json::string* text = IfText(*value)) {
        return IfText(constant) != nullptr && View(*text).find(View(constant.get_string())) != std::string_view::npos;
      }
      if (const json::array* list = value->if_array()) {
        for (const json::value& element : *list) {
          if (EqualJson(element, constant)) return true;
        }
      }
      return false;
    case Kind::kOneOf: {
      const json::value& found = value == nullptr ? null : *value;
      if (const json::string* text = IfText(found)) return texts.contains(View(*text));
      for (const json::value& other : others) {
        if (EqualJson(found, other)) return true;
      }
      return false;
    }
    case Kind::kExists:
      return (value != nullptr && !value->is_null()) != negated;
    default:
      return CompareNumber(value);
  }
}

namespace {

using Node = ConditionEvaluator::Node;

// Compiles one condition and collects what is wrong with it.
class Compiler {
 public:
  Node Compile(const v1::Condition& condition, const std::string& path, int depth) {
    Node node;
    if (depth > kDepthMax) {
      Wrong(path, fmt::format("conditions may be nested {} deep", kDepthMax));
      return node;
    }
    switch (condition.test_case()) {
      case v1::Condition::kAll:
      case v1::Condition::kAny: {
        const bool all = condition.has_all();
        node.kind = all ? Node::Kind::kAll : Node::Kind::kAny;
        const v1::ConditionList& list = all ? condition.all() : condition.any();
        for (int i = 0; i < list.conditions_size(); ++i) {
          node.children.push_back(Compile(
              list.conditions(i), fmt::format("{}.conditions[{}]", Join(path, all ? "all" : "any"), i), depth + 1));
        }
        break;
      }
      case v1::Condition::kNot:
        node.kind = Node::Kind::kNot;
        node.children.push_back(Compile(condition.not_(), Join(path, "not"), depth + 1));
        break;
      case v1::Condition::kCompare:
        Compare(condition.compare(), Join(path, "compare"), node);
        break;
      case v1::Condition::TEST_NOT_SET:
        Wrong(path, "expected one of all, any, not, compare");
        break;
    }
    return node;
  }

  const std::vector<FieldViolation>& wrong() const { return wrong_; }

 private:
  static std::string Join(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
  }

  void Wrong(const std::string& path, std::string description) { wrong_.push_back({path, std::move(description)}); }

  json::value Constant(const std::string& text, const std::string& path) {
    auto value = ParseExact(text);
    if (value.ok()) return *std::move(value);
    Wrong(path, fmt::format("expected a JSON value, got {}", Excerpt(text)));
    return {};
  }

  void Order(Node::Kind kind, double bound, Node& node) {
    node.kind = kind;
    node.constant = bound;
    node.has_numbers = true;
  }

  // Takes note of a constant that equality compares with.
  static void Look(const json::value& constant, Node& node) {
    node.has_numbers |= IsNumber(constant);
    node.has_number_texts |= IsNumberLikeText(constant);
  }

  void Compare(const v1::Comparison& comparison, const std::string& path, Node& node) {
    node.field = comparison.field();
    if (node.field.empty()) Wrong(path + ".field", "expected the path of a field");
    switch (comparison.operator_case()) {
      case v1::Comparison::kEquals:
      case v1::Comparison::kNotEquals:
        node.kind = Node::Kind::kEquals;
        node.negated = comparison.has_not_equals();
        node.constant = node.negated ? Constant(comparison.not_equals(), path + ".not_equals")
                                     : Constant(comparison.equals(), path + ".equals");
        Look(node.constant, node);
        break;
      case v1::Comparison::kLess:
        return Order(Node::Kind::kLess, comparison.less(), node);
      case v1::Comparison::kAtMost:
        return Order(Node::Kind::kAtMost, comparison.at_most(), node);
      case v1::Comparison::kGreater:
        return Order(Node::Kind::kGreater, comparison.greater(), node);
      case v1::Comparison::kAtLeast:
        return Order(Node::Kind::kAtLeast, comparison.at_least(), node);
      case v1::Comparison::kMatches: {
        node.kind = Node::Kind::kMatches;
        StatusOr<Pattern> pattern = Pattern::Compile(comparison.matches());
        if (pattern.ok()) {
          node.pattern = *std::move(pattern);
        } else {
          Wrong(path + ".matches", std::string(MessageOf(pattern.status())));
        }
        break;
      }
      case v1::Comparison::kContains:
        node.kind = Node::Kind::kContains;
        node.constant = Constant(comparison.contains(), path + ".contains");
        break;
      case v1::Comparison::kOneOf:
        node.kind = Node::Kind::kOneOf;
        for (int i = 0; i < comparison.one_of().values_size(); ++i) {
          json::value value = Constant(comparison.one_of().values(i), fmt::format("{}.one_of.values[{}]", path, i));
          Look(value, node);
          if (IfText(value) != nullptr) {
            node.texts.emplace(View(value.get_string()));
          } else {
            node.others.push_back(std::move(value));
          }
        }
        break;
      case v1::Comparison::kExists:
        node.kind = Node::Kind::kExists;
        node.negated = !comparison.exists();
        break;
      case v1::Comparison::OPERATOR_NOT_SET:
        Wrong(
            path,
            "expected one of equals, not_equals, less, at_most, greater, at_least, matches, contains, one_of, exists");
        break;
    }
  }

  std::vector<FieldViolation> wrong_;
};

}  // namespace

StatusOr<ConditionEvaluator> ConditionEvaluator::Compile(const v1::Condition& condition) {
  Compiler compiler;
  auto root = std::make_shared<const Node>(compiler.Compile(condition, "", 0));
  if (!compiler.wrong().empty()) {
    const FieldViolation& first = compiler.wrong().front();
    return MakeFieldError(Reason::kInvalidDefinition,
                          fmt::format("{}: {}", first.field.empty() ? "condition" : first.field, first.description),
                          compiler.wrong());
  }
  return ConditionEvaluator(std::move(root));
}

bool ConditionEvaluator::Holds(const json::value& item, Oddities* oddities) const {
  return root_->Holds(item, oddities);
}

}  // namespace millrace::rules
