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

bool NumbersEqual(const json::value& left, const json::value& right) {
  if (left.is_double() || right.is_double()) {
    // A double that is a whole number equals that integer and no other: compared as integers where both can be.
    const json::value& fraction = left.is_double() ? left : right;
    const json::value& other = left.is_double() ? right : left;
    const double value = fraction.get_double();
    if (other.is_double()) return value == other.get_double();
    constexpr double kBeyondIntegers = 3.7e19;  // 2^65
    if (!(value > -kBeyondIntegers && value < kBeyondIntegers)) return false;
    if (value != static_cast<double>(static_cast<__int128>(value))) return false;
    const __int128 whole = static_cast<__int128>(value);
    return other.is_int64() ? whole == other.get_int64() : whole == static_cast<__int128>(other.get_uint64());
  }
  if (left.is_int64() && right.is_int64()) return left.get_int64() == right.get_int64();
  if (left.is_uint64() && right.is_uint64()) return left.get_uint64() == right.get_uint64();
  const int64_t is_signed = left.is_int64() ? left.get_int64() : right.get_int64();
  const uint64_t is_unsigned = left.is_uint64() ? left.get_uint64() : right.get_uint64();
  return is_signed >= 0 && static_cast<uint64_t>(is_signed) == is_unsigned;
}

}  // namespace

bool JsonEquals(const json::value& left, const json::value& right) {
  if (left.is_number() && right.is_number()) return NumbersEqual(left, right);
  if (left.kind() != right.kind()) return false;
  if (const json::array* a = left.if_array()) {
    const json::array& b = right.get_array();
    if (a->size() != b.size()) return false;
    for (size_t i = 0; i < a->size(); ++i) {
      if (!JsonEquals((*a)[i], b[i])) return false;
    }
    return true;
  }
  if (const json::object* a = left.if_object()) {
    const json::object& b = right.get_object();
    if (a->size() != b.size()) return false;
    for (const auto& member : *a) {
      const json::value* other = b.if_contains(member.key());
      if (other == nullptr || !JsonEquals(member.value(), *other)) return false;
    }
    return true;
  }
  return left == right;
}

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
  json::value constant;        // of kEquals, kContains
  double bound = 0;            // of the four orders
  std::optional<Pattern> pattern;
  TextSet texts;                    // of kOneOf
  std::vector<json::value> others;  // of kOneOf: values that are not text

  bool Holds(const json::value& item) const;
  bool Compare(const json::value* value) const;
  bool CompareNumber(const json::value* value) const;
};

bool ConditionEvaluator::Node::Holds(const json::value& item) const {
  switch (kind) {
    case Kind::kAll:
      for (const Node& child : children) {
        if (!child.Holds(item)) return false;
      }
      return true;
    case Kind::kAny:
      for (const Node& child : children) {
        if (child.Holds(item)) return true;
      }
      return false;
    case Kind::kNot:
      return !children[0].Holds(item);
    default:
      return Compare(FindPath(item, field));
  }
}

bool ConditionEvaluator::Node::CompareNumber(const json::value* value) const {
  if (value == nullptr || !value->is_number()) return false;
  const double number = value->to_number<double>();
  switch (kind) {
    case Kind::kLess:
      return number < bound;
    case Kind::kAtMost:
      return number <= bound;
    case Kind::kGreater:
      return number > bound;
    default:
      return number >= bound;
  }
}

bool ConditionEvaluator::Node::Compare(const json::value* value) const {
  static const json::value null;
  switch (kind) {
    case Kind::kEquals:
      return JsonEquals(value == nullptr ? null : *value, constant) != negated;
    case Kind::kMatches: {
      const json::string* text = value == nullptr ? nullptr : value->if_string();
      return text != nullptr && pattern->Matches(View(*text));
    }
    case Kind::kContains:
      if (value == nullptr) return false;
      if (const json::string* text = value->if_string()) {
        return constant.is_string() && View(*text).find(View(constant.get_string())) != std::string_view::npos;
      }
      if (const json::array* list = value->if_array()) {
        for (const json::value& element : *list) {
          if (JsonEquals(element, constant)) return true;
        }
      }
      return false;
    case Kind::kOneOf: {
      const json::value& found = value == nullptr ? null : *value;
      if (const json::string* text = found.if_string()) return texts.contains(View(*text));
      for (const json::value& other : others) {
        if (JsonEquals(found, other)) return true;
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
    auto value = ParseJson(text);
    if (value.ok()) return *std::move(value);
    Wrong(path, fmt::format("expected a JSON value, got {}", Excerpt(text)));
    return {};
  }

  void Order(Node::Kind kind, double bound, Node& node) {
    node.kind = kind;
    node.bound = bound;
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
          if (value.is_string()) {
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

bool ConditionEvaluator::Holds(const json::value& item) const { return root_->Holds(item); }

}  // namespace millrace::rules
