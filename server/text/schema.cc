#include "server/text/schema.h"

// Makes valijson throw if a schema is wrong; otherwise it aborts the process.
#define VALIJSON_USE_EXCEPTIONS 1

#include <arpa/inet.h>
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <valijson/adapters/std_string_adapter.hpp>
#include <valijson/constraint_builder.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "server/base/canonical_json.h"
#include "server/base/date.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/text/exact_rules.h"
#include "server/text/pattern.h"
#include "server/text/schema_adapter.h"
#include "server/text/schema_parts.h"

namespace millrace {
namespace {

using valijson::ValidationResults;
using valijson::adapters::Adapter;
using valijson::constraints::Constraint;
using Context = std::vector<std::string>;

// Greatest depth of references within references. Recursion of a schema into parts of the value ends with the value,
// recursion in place would not end.
constexpr int kRefDepthMax = 150;
// Most references followed in one check: alternatives that refer to alternatives multiply.
constexpr int kRefStepsMax = 200'000;

// Most values that a check looks at, each as often as the schema makes it: about 3 s.
constexpr int64_t kLooksMax = 30'000'000;
// Most values that are looked at to say what is wrong, since valijson keeps every fault that it finds.
constexpr int64_t kExplainLooksMax = 1'000'000;
// Most bytes of paths, of which valijson copies one for each value.
constexpr size_t kPathBytesMax = 1'000'000'000;
// Largest product of an answer's bytes and a schema's weight that takes less than 15 ms.
constexpr size_t kCheapMax = 1'000'000;

// Counters of the check that runs on this thread.
thread_local int ref_depth = 0;
thread_local int ref_steps = 0;

struct RefScope {
  RefScope() {
    ++ref_depth;
    ++ref_steps;
    if (ref_depth > kRefDepthMax || ref_steps > kRefStepsMax) {
      --ref_depth;
      throw TooComplex();
    }
  }
  ~RefScope() { --ref_depth; }
};

re2::StringPiece Piece(const std::string& text) { return {text.data(), text.size()}; }

bool Matches(const RE2& pattern, const std::string& text) { return RE2::PartialMatch(Piece(text), pattern); }

// Returns whether a text has a match of a schema's pattern. The patterns above have no such cost.
bool Matches(const Pattern& pattern, const std::string& text) {
  CountLook(pattern.CostOf(text.size()));
  const bool matches = pattern.Matches(text);
  if (!WorkStatus().ok()) throw TooComplex();
  return matches;
}

bool FitsFormat(const std::string& format, const std::string& text) {
  static const RE2 kEmail(R"(^[^@\s]+@[^@\s]+$)");
  static const RE2 kHostname(
      R"(^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$)");
  static const RE2 kUri(R"(^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>"{}|\\^`]*$)");
  static const RE2 kUuid(R"((?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$)");
  if (format == "date") return IsRfc3339Date(text);
  if (format == "time") return IsRfc3339Time(text);
  if (format == "date-time") return IsRfc3339DateTime(text);
  if (format == "email") return Matches(kEmail, text);
  if (format == "hostname") return text.size() <= 253 && Matches(kHostname, text);
  if (format == "uri") return Matches(kUri, text);
  if (format == "uuid") return Matches(kUuid, text);
  in6_addr address;
  if (format == "ipv4") return inet_pton(AF_INET, text.c_str(), &address) == 1;
  if (format == "ipv6") return inet_pton(AF_INET6, text.c_str(), &address) == 1;
  return true;
}

// Base of our constraints. They point to objects that the compiled schema owns, so copies are cheap and safe.
template <typename Self>
class OwnConstraint : public valijson::constraints::PolyConstraint {
 private:
  Constraint* cloneInto(void* memory) const override { return new (memory) Self(static_cast<const Self&>(*this)); }
  size_t sizeOf() const override { return sizeof(Self); }
};

bool Fail(const Context& context, ValidationResults* results, const std::string& what) {
  if (results != nullptr) results->pushError(context, what);
  return false;
}

// Returns true for a text that is not the text of a number (server/base/number.h).
bool IsTextTarget(const Adapter& target) { return target.isString() && !target.asString().starts_with(kNumberMark); }

class PatternFits final : public OwnConstraint<PatternFits> {
 public:
  explicit PatternFits(const Pattern* pattern) : pattern_(pattern) {}
  bool validate(const Adapter& target, const Context& context, ValidationResults* results) const override {
    if (!IsTextTarget(target) || Matches(*pattern_, target.asString())) return true;
    return Fail(context, results, fmt::format("does not match the pattern {}", pattern_->text()));
  }

 private:
  const Pattern* pattern_;
};

// `uniqueItems`, for which valijson compares every element with every other.
class ItemsDiffer final : public OwnConstraint<ItemsDiffer> {
 public:
  bool validate(const Adapter& target, const Context& context, ValidationResults* results) const override {
    const auto* adapter = dynamic_cast<const SchemaAdapter*>(&target);
    if (adapter == nullptr || !adapter->isArray()) return true;
    const json::array& list = adapter->value().get_array();
    std::unordered_map<std::string, size_t> places;  // by canonical text; never iterated
    for (size_t i = 0; i < list.size(); ++i) {
      std::string text = CanonicalJson(list[i]);
      CountLook(text.size());
      const auto [found, is_new] = places.try_emplace(std::move(text), i);
      if (is_new) continue;
      return Fail(context, results, fmt::format("the elements {} and {} are equal", found->second, i));
    }
    return true;
  }
};

class FormatFits final : public OwnConstraint<FormatFits> {
 public:
  explicit FormatFits(const std::string* format) : format_(format) {}
  bool validate(const Adapter& target, const Context& context, ValidationResults* results) const override {
    if (!IsTextTarget(target) || FitsFormat(*format_, target.asString())) return true;
    return Fail(context, results, fmt::format("is not a valid {}", *format_));
  }

 private:
  const std::string* format_;
};

class ExactFits final : public OwnConstraint<ExactFits> {
 public:
  explicit ExactFits(const ExactRules* rules) : rules_(rules) {}
  bool validate(const Adapter& target, const Context& context, ValidationResults* results) const override {
    const auto* adapter = dynamic_cast<const SchemaAdapter*>(&target);
    // The name of a property (`propertyNames`) has another adapter.
    const json::value name = adapter == nullptr ? json::value(json::string(target.asString())) : json::value();
    const json::value& value = adapter == nullptr ? name : adapter->value();
    if (rules_->needs_parts() && !SpendWork(static_cast<int64_t>(CountValues(value)))) throw TooComplex();
    const std::optional<std::string> fault = rules_->FaultOf(value);
    return !fault || Fail(context, results, *fault);
  }

 private:
  const ExactRules* rules_;
};

using Parts = std::vector<std::unique_ptr<valijson::Schema>>;

bool FitsPart(const valijson::Schema& part, const Adapter& target, const Context& context, ValidationResults* results) {
  const RefScope scope;
  std::unordered_map<std::string, std::regex> none;  // no pattern reaches valijson
  if (const auto* value = dynamic_cast<const SchemaAdapter*>(&target)) {
    valijson::ValidationVisitor<SchemaAdapter> visitor(*value, context, true, results, none);
    return visitor.validateSchema(part);
  }
  // The target is the name of a property (`propertyNames`), for which valijson has another adapter.
  const json::value name(json::string(target.asString()));
  valijson::ValidationVisitor<SchemaAdapter> visitor(SchemaAdapter(name), context, true, results, none);
  return visitor.validateSchema(part);
}

class PartFits final : public OwnConstraint<PartFits> {
 public:
  PartFits(const Parts* parts, size_t part) : parts_(parts), part_(part) {}
  bool validate(const Adapter& target, const Context& context, ValidationResults* results) const override {
    return FitsPart(*(*parts_)[part_], target, context, results);
  }

 private:
  const Parts* parts_;
  size_t part_;
};

// `patternProperties` and the `additionalProperties` beside it.
struct PropertyRules {
  std::vector<std::pair<const Pattern*, size_t>> patterns;
  std::set<std::string> names;  // names in `properties`, which valijson checks
  std::optional<size_t> additional;
};

class PropertiesFit final : public OwnConstraint<PropertiesFit> {
 public:
  PropertiesFit(const Parts* parts, const PropertyRules* rules) : parts_(parts), rules_(rules) {}
  bool validate(const Adapter& target, const Context& context, ValidationResults* results) const override {
    const auto* value = dynamic_cast<const SchemaAdapter*>(&target);
    if (value == nullptr || !value->isObject()) return true;
    for (const auto& member : value->getObject()) {
      Context inner = context;
      inner.push_back("[" + member.first + "]");
      bool found = rules_->names.contains(member.first);
      for (const auto& [pattern, part] : rules_->patterns) {
        if (!Matches(*pattern, member.first)) continue;
        found = true;
        if (!FitsPart(*(*parts_)[part], member.second, inner, results)) return false;
      }
      if (found || !rules_->additional) continue;
      if (!FitsPart(*(*parts_)[*rules_->additional], member.second, inner, results)) return false;
    }
    return true;
  }

 private:
  const Parts* parts_;
  const PropertyRules* rules_;
};

// Calls a function to make a constraint.
class Builder final : public valijson::ConstraintBuilder {
 public:
  using Function = std::function<Constraint*(const json::value&)>;
  explicit Builder(Function function) : function_(std::move(function)) {}
  Constraint* make(const Adapter& adapter) const override {
    return function_(dynamic_cast<const SchemaAdapter&>(adapter).value());
  }

 private:
  Function function_;
};

// Returns the bytes of the paths of all values in a value, itself among them. `path_bytes` are those of its own path.
size_t PathBytes(const json::value& value, size_t path_bytes) {
  constexpr size_t kStep = 16;  // bytes of a step of a path besides its name
  size_t bytes = path_bytes;
  if (const json::array* list = value.if_array()) {
    for (const json::value& element : *list) bytes += PathBytes(element, path_bytes + kStep);
  } else if (const json::object* object = value.if_object()) {
    for (const auto& member : *object) {
      bytes += PathBytes(member.value(), path_bytes + kStep + member.key().size());
    }
  }
  return bytes;
}

std::string Where(const Context& context) {
  std::string where;
  for (size_t i = 1; i < context.size(); ++i) where += context[i];  // the first is the root
  return where;
}

}  // namespace

struct Schema::Compiled {
  std::vector<std::unique_ptr<Pattern>> patterns;
  std::vector<std::unique_ptr<std::string>> formats;
  std::vector<std::unique_ptr<PropertyRules>> rules;
  std::vector<std::unique_ptr<ExactRules>> exact;
  Parts parts;
  bool has_references = false;
  size_t weight = 0;  // values in the parts, and widths of the patterns

  // `text` was parsed before, by TakeApart.
  const ExactRules* Exact(const json::value& text) {
    const json::value keywords = ParseOwnJson(std::string(text.as_string()));
    StatusOr<ExactRules> parsed = ExactRules::Parse(keywords.as_object());
    if (!parsed.ok()) throw std::invalid_argument(std::string(MessageOf(parsed.status())));
    exact.push_back(std::make_unique<ExactRules>(*std::move(parsed)));
    return exact.back().get();
  }

  // REQUIRES: TakeApart has compiled it before.
  const Pattern* AddPattern(const json::value& text) {
    StatusOr<Pattern> pattern = Pattern::Compile(std::string(text.as_string()));
    if (!pattern.ok()) throw std::invalid_argument(std::string(MessageOf(pattern.status())));
    weight += pattern->width();
    patterns.push_back(std::make_unique<Pattern>(*std::move(pattern)));
    return patterns.back().get();
  }

  const PropertyRules* Rules(const json::value& value) {
    auto made = std::make_unique<PropertyRules>();
    const json::object& object = value.as_object();
    const json::array& part_numbers = object.at("parts").as_array();
    for (size_t i = 0; i < part_numbers.size(); ++i) {
      made->patterns.emplace_back(AddPattern(object.at("patterns").as_array()[i]), part_numbers[i].to_number<size_t>());
    }
    for (const json::value& name : object.at("names").as_array()) made->names.insert(std::string(name.as_string()));
    if (const json::value* additional = object.if_contains("additional")) {
      made->additional = additional->to_number<size_t>();
    }
    rules.push_back(std::move(made));
    return rules.back().get();
  }

  void AddPart(const json::value& part) {
    valijson::SchemaParser parser;  // takes the builders
    parser.addConstraintBuilder(
        kPatternKeyword, new Builder([this](const json::value& value) { return new PatternFits(AddPattern(value)); }));
    parser.addConstraintBuilder(kFormatKeyword, new Builder([this](const json::value& value) {
                                  formats.push_back(std::make_unique<std::string>(value.as_string()));
                                  return new FormatFits(formats.back().get());
                                }));
    parser.addConstraintBuilder(kExactKeyword,
                                new Builder([this](const json::value& value) { return new ExactFits(Exact(value)); }));
    parser.addConstraintBuilder(kRefKeyword, new Builder([this](const json::value& value) {
                                  has_references = true;
                                  return new PartFits(&parts, value.to_number<size_t>());
                                }));
    parser.addConstraintBuilder(kPropertiesKeyword, new Builder([this](const json::value& value) {
                                  return new PropertiesFit(&parts, Rules(value));
                                }));
    parser.addConstraintBuilder(kUniqueKeyword, new Builder([](const json::value&) { return new ItemsDiffer(); }));
    weight += CountValues(part);
    auto schema = std::make_unique<valijson::Schema>();
    parser.populateSchema(SchemaAdapter(part), *schema);
    parts.push_back(std::move(schema));
  }
};

StatusOr<Schema> Schema::Parse(std::string_view text) {
  const StatusOr<json::value> value = ParseExact(text);
  if (!value.ok()) {
    return MakeError(Reason::kInvalidField, fmt::format("the schema is not JSON: {}", MessageOf(value.status())));
  }
  MR_ASSIGN_OR_RETURN(const std::vector<json::value> parts, TakeApart(*value));
  auto compiled = std::make_shared<Compiled>();
  try {
    for (const json::value& part : parts) compiled->AddPart(part);
  } catch (const TooComplex&) {
    return WorkStatus();
  } catch (const std::exception& error) {
    return MakeError(Reason::kInvalidField, fmt::format("the schema: {}", error.what()));
  }
  return Schema(std::move(compiled));
}

bool Schema::IsCheap(size_t bytes) const {
  return !compiled_->has_references && compiled_->parts.size() == 1 &&
         bytes <= kCheapMax / std::max<size_t>(compiled_->weight, 1);
}

Status Schema::Check(const json::value& value) const {
  std::optional<WorkMeter> own;
  if (WorkMeter::Current() == nullptr) own.emplace(CheckLimits());
  if (PathBytes(value, 0) > kPathBytesMax)
    return MakeError(Reason::kSchema, "the answer's names are too long to check");
  const auto fits = [&](ValidationResults* results) {
    ref_depth = 0;
    ref_steps = 0;
    return FitsPart(*compiled_->parts.front(), SchemaAdapter(value), {"<root>"}, results);
  };
  ValidationResults results;
  bool misfits = false;
  try {
    if (fits(nullptr)) return absl::OkStatus();
    misfits = true;
    const WorkMeter meter({.steps = kExplainLooksMax, .name = "explaining a fault", .reason = Reason::kSchema});
    fits(&results);
  } catch (const TooComplex&) {
    const Status status = WorkStatus();
    if (ReasonOf(status) == Reason::kCancelled) return status;
    if (!status.ok()) return MakeError(Reason::kSchema, MessageOf(status));
    if (!misfits) return MakeError(Reason::kSchema, "checking the answer takes too many references");
  } catch (const std::exception& error) {
    return MakeError(Reason::kSchema, error.what());
  }
  ValidationResults::Error error;
  if (!results.popError(error)) error.description = "does not fit";
  return MakeError(
      Reason::kSchema,
      fmt::format("at {}: {}", error.context.size() < 2 ? "the top" : Where(error.context), error.description));
}

WorkLimits CheckLimits() {
  return {.steps = kLooksMax, .name = "checking the answer against the schema", .reason = Reason::kSchema};
}

}  // namespace millrace
