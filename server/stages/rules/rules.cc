#include "server/stages/rules/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/utf8.h"
#include "server/base/work_meter.h"
#include "server/stages/rules/condition.h"
#include "server/stages/rules/convert_rule.h"
#include "server/stages/rules/fields.h"
#include "server/stages/rules/gazetteer_rule.h"
#include "server/text/pattern.h"
#include "server/text/template.h"

namespace millrace::rules {
namespace {

constexpr size_t kFieldBytesMax = 1u << 20;  // bytes of a field that a template or a replacement makes
constexpr size_t kGrowthMax = 64u << 20;     // bytes that all rules together add to an item, if nothing sets less
constexpr Duration kItemCpuMax = std::chrono::seconds(4);
constexpr size_t kMatchesMax = 1000;  // matches that `extract` takes of one field

struct SetAction {
  std::string field;
  std::variant<json::value, std::string, Template> source;  // a constant, another field, a template
};
struct ScoreAction {
  std::string field;
  double add = 0;
};
struct DropAction {
  std::string reason;
};
struct ValidateAction {
  ConditionEvaluator condition;
  std::string message;
};
struct ExtractAction {
  std::string from;
  Pattern pattern;
  std::string field;
  bool every = false;
};
struct ReplaceAction {
  std::string field;
  Pattern pattern;
  std::string with;
};

Status BadItem(std::string_view what) { return MakeError(Reason::kBadItem, what); }

std::string_view View(const json::string& text) { return {text.data(), text.size()}; }

}  // namespace

struct Rules::Rule {
  std::string name;
  std::optional<ConditionEvaluator> when;
  std::variant<SetAction, ScoreAction, DropAction, ValidateAction, ExtractAction, ReplaceAction, LookUpRule,
               ConvertRule>
      action;
};

namespace {

// Bytes that the rules may still add to an item. A copy of a field, many times, would take memory without bounds before
// anybody measures the item.
struct Growth {
  size_t most;
  size_t left = most;
};

// Returns about the bytes of a value as JSON; at least `enough` if it has so many.
size_t BytesOf(const json::value& value, size_t enough) {
  size_t bytes = 8;
  if (const json::string* text = value.if_string()) return bytes + text->size();
  if (const json::array* list = value.if_array()) {
    for (auto at = list->begin(); at != list->end() && bytes <= enough; ++at) bytes += BytesOf(*at, enough);
  } else if (const json::object* object = value.if_object()) {
    for (auto at = object->begin(); at != object->end() && bytes <= enough; ++at) {
      bytes += at->key().size() + BytesOf(at->value(), enough);
    }
  }
  return bytes;
}

// Runner of one rule over an item. `did`: the rule changed something. `found`: names that a gazetteer found.
class RuleRunner {
 public:
  RuleRunner(json::value& item, Growth& growth, RuleResult& result) : item_(item), growth_(growth), result_(result) {}

  bool did() const { return did_; }
  const std::string& found() const { return found_; }

  Status operator()(const SetAction& set) {
    did_ = true;
    if (const json::value* constant = std::get_if<json::value>(&set.source)) {
      MR_RETURN_IF_ERROR(Grow(BytesOf(*constant, growth_.most), set.field));
      return SetPath(item_, set.field, *constant);
    }
    if (const std::string* from = std::get_if<std::string>(&set.source)) {
      const json::value* value = FindPath(item_, *from);
      if (value == nullptr) return SetPath(item_, set.field, json::value());
      MR_RETURN_IF_ERROR(Grow(BytesOf(*value, growth_.most), set.field));
      return SetPath(item_, set.field, *value);
    }
    MR_ASSIGN_OR_RETURN(const std::string text, std::get<Template>(set.source).Render(item_, kFieldBytesMax));
    MR_RETURN_IF_ERROR(Grow(text.size(), set.field));
    return SetPath(item_, set.field, Text(text));
  }

  Status operator()(const ScoreAction& score) {
    did_ = true;
    const json::value* value = FindPath(item_, score.field);
    if (value != nullptr && !value->is_null() && !IsNumber(*value)) {
      return BadItem(fmt::format("`{}` is not a number; cannot add to it", score.field));
    }
    const bool is_null = value == nullptr || value->is_null();
    constexpr double kExactMax = 9007199254740992;  // 2^53: doubles have all whole numbers up to it
    if ((is_null || value->is_int64()) && std::abs(score.add) <= kExactMax && score.add == std::floor(score.add)) {
      int64_t whole = 0;
      const int64_t before = is_null ? 0 : value->get_int64();
      if (!__builtin_add_overflow(before, static_cast<int64_t>(score.add), &whole)) {
        return SetPath(item_, score.field, whole);
      }
    }
    const double sum = (is_null ? 0 : ToDouble(*value)) + score.add;
    if (!std::isfinite(sum)) return BadItem(fmt::format("`{}` is too large to add to it", score.field));
    return SetPath(item_, score.field, sum);
  }

  Status operator()(const DropAction& drop) {
    did_ = true;
    result_.state = v1::ITEM_STATE_SKIPPED;
    result_.reason = v1::ERROR_REASON_DROPPED;
    result_.message = drop.reason;
    return {};
  }

  Status operator()(const ValidateAction& validate) {
    const bool holds = validate.condition.Holds(item_, &result_.oddities);
    MR_RETURN_IF_ERROR(WorkStatus());
    if (holds) return {};
    did_ = true;
    result_.state = v1::ITEM_STATE_FAILED;
    result_.reason = v1::ERROR_REASON_VALIDATION;
    result_.message = validate.message;
    return {};
  }

  Status operator()(const ExtractAction& extract) {
    const json::value* value = FindPath(item_, extract.from);
    const json::string* text = value == nullptr ? nullptr : IfText(*value);
    if (text == nullptr) return {};
    json::array taken;
    const int group = extract.pattern.groups() > 0 ? 1 : 0;
    const std::string_view all = View(*text);
    for (size_t at = 0; at <= all.size() && taken.size() < (extract.every ? kMatchesMax : 1);) {
      re2::StringPiece match[2];
      if (!extract.pattern.Find(all, at, match, 2)) break;
      const re2::StringPiece& part = match[group];
      if (part.data() != nullptr) taken.emplace_back(Text({part.data(), part.size()}));
      const auto end = static_cast<size_t>(match[0].data() + match[0].size() - all.data());
      at = match[0].empty() ? NextCharacter(all, end) : end;
    }
    MR_RETURN_IF_ERROR(WorkStatus());
    if (taken.empty()) return {};
    did_ = true;
    return SetPath(item_, extract.field, extract.every ? json::value(std::move(taken)) : std::move(taken[0]));
  }

  Status operator()(const ReplaceAction& replace) {
    const json::value* value = FindPath(item_, replace.field);
    const json::string* text = value == nullptr ? nullptr : IfText(*value);
    if (text == nullptr) return {};
    std::string changed(text->data(), text->size());
    const size_t replaced = replace.pattern.ReplaceAll(changed, replace.with, kFieldBytesMax);
    MR_RETURN_IF_ERROR(WorkStatus());
    if (replaced == 0) return {};
    MR_RETURN_IF_ERROR(Grow(changed.size(), replace.field));
    did_ = true;
    return SetPath(item_, replace.field, Text(changed));
  }

  Status operator()(const ConvertRule& convert) { return convert.Apply(item_, result_.oddities, did_); }

  Status operator()(const LookUpRule& look_up) {
    MR_RETURN_IF_ERROR(look_up.Apply(item_, found_));
    did_ = !found_.empty();
    return {};
  }

 private:
  // Counts the bytes of a new value of `field`, less those of the old one, before it is made.
  Status Grow(size_t bytes, std::string_view field) {
    const json::value* old = FindPath(item_, field);
    bytes -= old == nullptr ? 0 : std::min(bytes, BytesOf(*old, bytes));
    if (bytes > growth_.left) {
      return BadItem(fmt::format("the rules would add more than {} bytes to the item", growth_.most));
    }
    growth_.left -= bytes;
    return {};
  }

  json::value& item_;
  Growth& growth_;
  RuleResult& result_;
  bool did_ = false;
  std::string found_;
};

// Compiler of rules, which collects their problems.
class Compiler {
 public:
  Compiler(const v1::Pipeline& files, SharedObjects* shared) : files_(files), shared_(shared) {}

  std::optional<Rules::Rule> Compile(const v1::Rule& rule, int index) {
    const size_t wrong_before = wrong_.size();
    path_ = fmt::format("rules[{}]", index);
    const std::string name = rule.name().empty() ? fmt::format("rule {}", index + 1) : rule.name();
    std::optional<ConditionEvaluator> when;
    if (rule.has_when()) when = Condition(rule.when(), "when");
    switch (rule.action_case()) {
      case v1::Rule::kSet:
        return Finish(wrong_before, name, std::move(when), Set(rule.set()));
      case v1::Rule::kScore:
        Path(rule.score().field(), "score.field");
        return Finish(wrong_before, name, std::move(when), Made(ScoreAction{rule.score().field(), rule.score().add()}));
      case v1::Rule::kDrop:
        return Finish(wrong_before, name, std::move(when), Made(DropAction{rule.drop().reason()}));
      case v1::Rule::kValidate: {
        auto condition = Condition(rule.validate().condition(), "validate.condition");
        if (!condition) return std::nullopt;
        return Finish(wrong_before, name, std::move(when),
                      Made(ValidateAction{*std::move(condition), rule.validate().message()}));
      }
      case v1::Rule::kExtract: {
        const v1::ExtractField& extract = rule.extract();
        Path(extract.from(), "extract.from");
        Path(extract.field(), "extract.field");
        std::optional<Pattern> pattern = PatternOf(extract.pattern(), "extract.pattern");
        if (!pattern) return std::nullopt;
        return Finish(wrong_before, name, std::move(when),
                      Made(ExtractAction{extract.from(), *std::move(pattern), extract.field(), extract.every()}));
      }
      case v1::Rule::kReplace:
        return Finish(wrong_before, name, std::move(when), Replace(rule.replace()));
      case v1::Rule::kLookUp:
        return Finish(wrong_before, name, std::move(when), LookUp(rule.look_up()));
      case v1::Rule::kConvert:
        for (const FieldViolation& wrong : ConvertRule::Check(rule.convert())) {
          Wrong("convert." + wrong.field, wrong.description);
        }
        return Finish(wrong_before, name, std::move(when), Made(ConvertRule(rule.convert())));
      case v1::Rule::ACTION_NOT_SET:
        Wrong("", "expected one of set, score, drop, validate, extract, replace, look_up, convert");
        return std::nullopt;
    }
    return std::nullopt;
  }

  const std::vector<FieldViolation>& wrong() const { return wrong_; }

 private:
  // A made action: an optional, so that all kinds finish alike.
  template <typename Action>
  static std::optional<Action> Made(Action action) {
    return action;
  }

  template <typename Action>
  std::optional<Rules::Rule> Finish(size_t wrong_before, const std::string& name,
                                    std::optional<ConditionEvaluator> when, std::optional<Action> action) {
    if (wrong_.size() > wrong_before || !action) return std::nullopt;
    return Rules::Rule{name, std::move(when), *std::move(action)};
  }

  void Wrong(std::string_view field, std::string_view description) {
    wrong_.push_back({field.empty() ? path_ : fmt::format("{}.{}", path_, field), std::string(description)});
  }

  void Path(const std::string& path, std::string_view field) {
    if (!IsPath(path)) Wrong(field, fmt::format("expected the path of a field, got {}", Excerpt(path)));
  }

  std::optional<ConditionEvaluator> Condition(const v1::Condition& condition, std::string_view field) {
    auto compiled = ConditionEvaluator::Compile(condition);
    if (compiled.ok()) return *std::move(compiled);
    for (const FieldViolation& violation : ViolationsBelow(field, compiled.status())) {
      Wrong(violation.field, violation.description);
    }
    return std::nullopt;
  }

  std::optional<Pattern> PatternOf(const std::string& text, std::string_view field) {
    StatusOr<Pattern> pattern = Pattern::Compile(text);
    if (pattern.ok()) return *std::move(pattern);
    Wrong(field, MessageOf(pattern.status()));
    return std::nullopt;
  }

  std::optional<SetAction> Set(const v1::SetField& set) {
    Path(set.field(), "set.field");
    switch (set.source_case()) {
      case v1::SetField::kValue: {
        auto value = ParseExact(set.value());
        if (value.ok()) return SetAction{set.field(), *std::move(value)};
        Wrong("set.value", fmt::format("expected a JSON value, got {}", Excerpt(set.value())));
        break;
      }
      case v1::SetField::kFrom:
        Path(set.from(), "set.from");
        return SetAction{set.field(), set.from()};
      case v1::SetField::kTemplate: {
        auto parsed = Template::Parse(set.template_());
        if (parsed.ok()) return SetAction{set.field(), *std::move(parsed)};
        Wrong("set.template", MessageOf(parsed.status()));
        break;
      }
      case v1::SetField::SOURCE_NOT_SET:
        Wrong("set", "expected one of value, from, template");
        break;
    }
    return std::nullopt;
  }

  std::optional<ReplaceAction> Replace(const v1::ReplaceText& replace) {
    Path(replace.field(), "replace.field");
    std::optional<Pattern> pattern = PatternOf(replace.pattern(), "replace.pattern");
    if (!pattern) return std::nullopt;
    if (std::string fault = pattern->FaultOfReplacement(replace.with()); !fault.empty()) Wrong("replace.with", fault);
    return ReplaceAction{replace.field(), *std::move(pattern), replace.with()};
  }

  std::optional<LookUpRule> LookUp(const v1::LookUp& look_up) {
    if (look_up.in().empty()) Wrong("look_up.in", "expected at least one field");
    if (look_up.set().empty()) Wrong("look_up.set", "expected at least one field to set");
    for (int i = 0; i < look_up.in_size(); ++i) Path(look_up.in(i), fmt::format("look_up.in[{}]", i));
    for (int i = 0; i < look_up.set_size(); ++i) Path(look_up.set(i).field(), fmt::format("look_up.set[{}].field", i));
    auto gazetteer = GazetteerOf(look_up.gazetteer());
    if (!gazetteer.ok()) {
      Wrong("look_up.gazetteer", MessageOf(gazetteer.status()));
      return std::nullopt;
    }
    auto rule = LookUpRule::Make(look_up, *std::move(gazetteer));
    if (rule.ok()) return *std::move(rule);
    Wrong("look_up.set", MessageOf(rule.status()));
    return std::nullopt;
  }

  // Rules that name the same file share its gazetteer.
  StatusOr<std::shared_ptr<const Gazetteer>> GazetteerOf(const std::string& file) {
    const auto known = gazetteers_.find(file);
    if (known != gazetteers_.end()) return known->second;
    const auto bytes = files_.files().find(file);
    if (bytes == files_.files().end()) {
      return MakeError(Reason::kInvalidDefinition,
                       fmt::format("no definition file {} came with the pipeline", Excerpt(file)));
    }
    const auto make = [&]() -> StatusOr<Gazetteer> {
      MR_ASSIGN_OR_RETURN(Table table, ReadTable(bytes->second));
      return Gazetteer::Make(std::move(table));
    };
    SharedObjects own;
    const Digest key = Digest::Of("gazetteer " + bytes->second);
    auto made = (shared_ != nullptr ? *shared_ : own).Get<Gazetteer>(key, make);
    if (!made.ok()) return WithContext(made.status(), file);
    const std::shared_ptr<const Gazetteer> shared = *std::move(made);
    gazetteers_.emplace(file, shared);
    return shared;
  }

  const v1::Pipeline& files_;
  SharedObjects* const shared_;
  std::string path_;
  std::vector<FieldViolation> wrong_;
  std::map<std::string, std::shared_ptr<const Gazetteer>> gazetteers_;
};

// Makes the item fail with this error.
void Fail(const Status& status, RuleResult& result) {
  result.state = v1::ITEM_STATE_FAILED;
  result.reason = static_cast<v1::ErrorReason>(ReasonOf(status));
  result.message = MessageOf(status);
}

}  // namespace

StatusOr<Rules> Rules::Compile(const v1::Prepare& prepare, const v1::Pipeline& files, SharedObjects* shared) {
  Compiler compiler(files, shared);
  auto compiled = std::make_shared<std::vector<Rule>>();
  for (int i = 0; i < prepare.rules_size(); ++i) {
    if (auto rule = compiler.Compile(prepare.rules(i), i)) compiled->push_back(*std::move(rule));
  }
  if (!compiler.wrong().empty()) {
    const FieldViolation& first = compiler.wrong().front();
    return MakeFieldError(Reason::kInvalidDefinition, fmt::format("{}: {}", first.field, first.description),
                          compiler.wrong());
  }
  Rules rules;
  rules.rules_ = std::move(compiled);
  return rules;
}

RuleResult Rules::Apply(json::object item) const {
  RuleResult result;
  json::value value(std::move(item));
  WorkMeter meter({.cpu = kItemCpuMax, .name = "the rules"});
  Growth growth{std::min(meter.bytes_max(), kGrowthMax)};
  for (const Rule& rule : *rules_) {
    const bool holds = !rule.when || rule.when->Holds(value, &result.oddities);
    if (holds && meter.Spend(1)) {
      RuleRunner runner(value, growth, result);
      if (const Status status = std::visit(runner, rule.action); !status.ok()) Fail(status, result);
      if (runner.did()) {
        result.notes.push_back(runner.found().empty() ? rule.name : fmt::format("{}: {}", rule.name, runner.found()));
      }
    }
    // Before anything is made of what a condition said: it is not known whether it holds.
    if (!meter.status().ok() && result.reason == v1::ERROR_REASON_UNSPECIFIED) Fail(meter.status(), result);
    if (result.state != v1::ITEM_STATE_OK) {
      result.message = result.message.empty() ? rule.name : fmt::format("{}: {}", rule.name, result.message);
      break;
    }
  }
  result.item = std::move(value.get_object());
  return result;
}

}  // namespace millrace::rules
