#include "server/stages/merge/pair_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/base/canonical_json.h"
#include "server/base/date.h"
#include "server/base/json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

constexpr double kMicrosPerDay = 86'400'000'000.0;

// Appends every field that a condition compares.
void CollectFields(const v1::Condition& condition, std::vector<std::string>& fields) {
  switch (condition.test_case()) {
    case v1::Condition::kAll:
      for (const v1::Condition& one : condition.all().conditions()) CollectFields(one, fields);
      break;
    case v1::Condition::kAny:
      for (const v1::Condition& one : condition.any().conditions()) CollectFields(one, fields);
      break;
    case v1::Condition::kNot:
      CollectFields(condition.not_(), fields);
      break;
    case v1::Condition::kCompare:
      fields.push_back(condition.compare().field());
      break;
    default:
      break;
  }
}

// Returns the rest of `text` after `prefix`; nullopt if it does not begin with `prefix`, or nothing follows.
std::optional<std::string> After(const std::string& text, std::string_view prefix) {
  if (!text.starts_with(prefix) || text.size() == prefix.size()) return std::nullopt;
  return text.substr(prefix.size());
}

// Returns the number of different values that two lists share; for other values, true if both exist and are equal.
json::value Shared(const json::value* left, const json::value* right) {
  const json::array* left_list = left == nullptr ? nullptr : left->if_array();
  const json::array* right_list = right == nullptr ? nullptr : right->if_array();
  if (left_list != nullptr && right_list != nullptr) {
    std::set<std::string> values;
    for (const json::value& value : *left_list) values.insert(CanonicalJson(value));
    int64_t count = 0;
    for (const json::value& value : *right_list) count += static_cast<int64_t>(values.erase(CanonicalJson(value)));
    return count;
  }
  if (left == nullptr || right == nullptr || left->is_null() || right->is_null()) return false;
  return EqualJson(*left, *right);
}

// Sets a value at a path of names.
void SetPath(json::object& object, std::string_view path, json::value value) {
  const size_t dot = path.find('.');
  const std::string_view name = path.substr(0, dot);
  json::value& member = object[json::string_view(name.data(), name.size())];
  if (dot == std::string_view::npos) {
    member = std::move(value);
    return;
  }
  if (!member.is_object()) member.emplace_object();
  SetPath(member.get_object(), path.substr(dot + 1), std::move(value));
}

double Rounded(double value) { return std::round(value * 10000) / 10000; }

std::optional<double> DaysApart(const PairSide& left, const PairSide& right) {
  if (!left.first_micros || !left.last_micros || !right.first_micros || !right.last_micros) return std::nullopt;
  const int64_t gap =
      std::max(*left.first_micros, *right.first_micros) - std::min(*left.last_micros, *right.last_micros);
  return Rounded(std::max<double>(0, static_cast<double>(gap)) / kMicrosPerDay);
}

}  // namespace

StatusOr<PairRules> PairRules::Compile(const v1::Merge& merge) {
  PairRules rules;
  std::vector<FieldViolation> wrong;
  for (int i = 0; i < merge.rules_size(); ++i) {
    const v1::MergeRule& rule = merge.rules(i);
    const std::string path = fmt::format("merge.rules[{}].when", i);
    Rule made{rule.name(), std::nullopt, rule.join()};
    if (rule.has_when()) {
      StatusOr<rules::ConditionEvaluator> when = rules::ConditionEvaluator::Compile(rule.when());
      if (when.ok()) {
        made.when = *std::move(when);
      } else {
        for (FieldViolation& violation : ViolationsBelow(path, when.status())) wrong.push_back(std::move(violation));
      }
    }
    std::vector<std::string> fields;
    CollectFields(rule.when(), fields);
    for (const std::string& field : fields) {
      std::optional<std::string> of_side = After(field, "left.");
      if (!of_side) of_side = After(field, "right.");
      if (of_side) {
        rules.read_.insert(*of_side);
      } else if (const std::optional<std::string> shared = After(field, "shared.")) {
        rules.read_.insert(*shared);
        rules.shared_.insert(*shared);
      } else if (field == "days_apart") {
        rules.reads_days_ = true;
      } else if (field != "similarity") {
        wrong.push_back({path, fmt::format("expected similarity, days_apart, left.…, right.… or shared.…, got {}",
                                           Excerpt(field))});
      }
    }
    rules.rules_.push_back(std::move(made));
  }
  if (!wrong.empty()) return MakeFieldError(Reason::kInvalidDefinition, "a rule of the merge is not valid", wrong);
  return rules;
}

PairSide PairRules::Side(const boost::json::value& item, Oddities& oddities) const {
  PairSide side;
  const json::object* object = item.if_object();
  if (object == nullptr) return side;
  for (const std::string& path : read_) {
    std::string_view rest = path;
    const json::value* value = FindMember(*object, rest);
    if (value == nullptr) continue;
    const size_t end = rest.empty() ? path.size() : path.size() - rest.size() - 1;
    side.fields[json::string_view(path.data(), end)] = *value;
  }
  const auto micros_of = [&](const char* name) -> std::optional<int64_t> {
    const json::value* time = object->if_contains(name);
    if (SaysNothing(time)) return std::nullopt;
    const std::optional<Date> date = DateOf(*time);
    if (date) return date->micros;
    if (reads_days_) oddities.Note(storage::v1::Oddity::KIND_DATE_UNREADABLE, name, *time);
    return std::nullopt;
  };
  side.first_micros = micros_of("first_time");
  side.last_micros = micros_of("last_time");
  return side;
}

PairDecision PairRules::Decide(const PairSide& left, const PairSide& right, double similarity,
                               Oddities& oddities) const {
  PairDecision decision;
  decision.similarity = Rounded(similarity);
  decision.days_apart = DaysApart(left, right);
  json::object facts;
  facts["similarity"] = decision.similarity;
  facts["days_apart"] = decision.days_apart ? json::value(*decision.days_apart) : json::value(nullptr);
  const json::value left_fields = left.fields;
  const json::value right_fields = right.fields;
  json::object& shared = facts["shared"].emplace_object();
  for (const std::string& path : shared_) {
    SetPath(shared, path, Shared(FindPath(left_fields, path), FindPath(right_fields, path)));
  }
  facts["left"] = left_fields;
  facts["right"] = right_fields;
  const json::value pair = std::move(facts);
  for (const Rule& rule : rules_) {
    if (rule.when && !rule.when->Holds(pair, &oddities)) continue;
    decision.rule = rule.name;
    decision.join = rule.join;
    break;
  }
  return decision;
}

}  // namespace millrace
