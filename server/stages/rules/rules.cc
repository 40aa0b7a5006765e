#include "server/stages/rules/rules.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/stages/rules/condition.h"
#include "server/stages/rules/fields.h"
#include "server/stages/rules/gazetteer_rule.h"
#include "server/text/template.h"

namespace millrace::rules {
namespace {

constexpr size_t kFieldBytesMax = 1u << 20;  // bytes of a field that a template or a replacement makes
constexpr size_t kMatchesMax = 1000;         // matches that `extract` takes of one field

using Pattern = std::shared_ptr<const re2::RE2>;

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

re2::StringPiece Piece(const json::string& text) { return {text.data(), text.size()}; }

}  // namespace

struct Rules::Rule {
  std::string name;
  std::optional<ConditionEvaluator> when;
  std::variant<SetAction, ScoreAction, DropAction, ValidateAction, ExtractAction, ReplaceAction, LookUpRule> action;
};

namespace {

// Runner of one rule over an item. `did`: the rule changed something. `found`: names that a gazetteer found.
class RuleRunner {
 public:
  RuleRunner(json::value& item, RuleResult& result) : item_(item), result_(result) {}

  bool did() const { return did_; }
  const std::string& found() const { return found_; }

  Status operator()(const SetAction& set) {
    did_ = true;
    if (const json::value* constant = std::get_if<json::value>(&set.source))
      return SetPath(item_, set.field, *constant);
    if (const std::string* from = std::get_if<std::string>(&set.source)) {
      const json::value* value = FindPath(item_, *from);
      return SetPath(item_, set.field, value == nullptr ? json::value() : json::value(*value));
    }
    MR_ASSIGN_OR_RETURN(const std::string text, std::get<Template>(set.source).Render(item_, kFieldBytesMax));
    return SetPath(item_, set.field, Text(text));
  }

  Status operator()(const ScoreAction& score) {
    did_ = true;
    const json::value* value = FindPath(item_, score.field);
    if (value != nullptr && !value->is_null() && !value->is_number()) {
      return BadItem(fmt::format("`{}` is not a number; cannot add to it", score.field));
    }
    const double sum = (value == nullptr || value->is_null() ? 0 : value->to_number<double>()) + score.add;
    constexpr double kExactMax = 9007199254740992;  // 2^53: whole numbers up to it stay whole
    if (std::abs(sum) <= kExactMax && sum == std::floor(sum) && (value == nullptr || !value->is_double())) {
      return SetPath(item_, score.field, static_cast<int64_t>(sum));
    }
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
    if (validate.condition.Holds(item_)) return {};
    did_ = true;
    result_.state = v1::ITEM_STATE_FAILED;
    result_.reason = v1::ERROR_REASON_VALIDATION;
    result_.message = validate.message;
    return {};
  }

  Status operator()(const ExtractAction& extract) {
    const json::value* value = FindPath(item_, extract.from);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) return {};
    json::array taken;
    const int group = extract.pattern->NumberOfCapturingGroups() > 0 ? 1 : 0;
    const re2::StringPiece all = Piece(*text);
    for (size_t at = 0; at <= all.size() && taken.size() < (extract.every ? kMatchesMax : 1);) {
      re2::StringPiece match[2];
      if (!extract.pattern->Match(all, at, all.size(), re2::RE2::UNANCHORED, match, 2)) break;
      const re2::StringPiece& part = match[group];
      if (part.data() != nullptr) taken.emplace_back(Text({part.data(), part.size()}));
      const auto end = static_cast<size_t>(match[0].data() + match[0].size() - all.data());
      at = match[0].empty() ? NextCharacter(all, end) : end;
    }
    if (taken.empty()) return {};
    did_ = true;
    return SetPath(item_, extract.field, extract.every ? json::value(std::move(taken)) : std::move(taken[0]));
  }

  Status operator()(const ReplaceAction& replace) {
    const json::value* value = FindPath(item_, replace.field);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    if (text == nullptr) return {};
    std::string changed(text->data(), text->size());
    if (re2::RE2::GlobalReplace(&changed, *replace.pattern, replace.with) == 0) return {};
    if (changed.size() > kFieldBytesMax) {
      return BadItem(fmt::format("{} would be {} bytes long, at most {} are allowed", replace.field, changed.size(),
                                 kFieldBytesMax));
    }
    did_ = true;
    return SetPath(item_, replace.field, Text(changed));
  }

  Status operator()(const LookUpRule& look_up) {
    MR_RETURN_IF_ERROR(look_up.Apply(item_, found_));
    did_ = !found_.empty();
    return {};
  }

 private:
  // Returns the byte behind the character at `at`, so that an empty match is not found again.
  static size_t NextCharacter(const re2::StringPiece& text, size_t at) {
    for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; ++at) {
    }
    return at;
  }

  json::value& item_;
  RuleResult& result_;
  bool did_ = false;
  std::string found_;
};

// Compiler of rules, which collects their problems.
class Compiler {
 public:
  explicit Compiler(const v1::Pipeline& files) : files_(files) {}

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
        return Finish(wrong_before, name, std::move(when),
                      Made(ExtractAction{extract.from(), PatternOf(extract.pattern(), "extract.pattern"),
                                         extract.field(), extract.every()}));
      }
      case v1::Rule::kReplace:
        return Finish(wrong_before, name, std::move(when), Replace(rule.replace()));
      case v1::Rule::kLookUp:
        return Finish(wrong_before, name, std::move(when), LookUp(rule.look_up()));
      case v1::Rule::ACTION_NOT_SET:
        Wrong("", "expected one of set, score, drop, validate, extract, replace, look_up");
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

  Pattern PatternOf(const std::string& text, std::string_view field) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    auto pattern = std::make_shared<const re2::RE2>(text, options);
    if (!pattern->ok()) Wrong(field, "expected an RE2 pattern: " + pattern->error());
    return pattern;
  }

  std::optional<SetAction> Set(const v1::SetField& set) {
    Path(set.field(), "set.field");
    switch (set.source_case()) {
      case v1::SetField::kValue: {
        auto value = ParseJson(set.value());
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
    Pattern pattern = PatternOf(replace.pattern(), "replace.pattern");
    if (std::string error; pattern->ok() && !pattern->CheckRewriteString(replace.with(), &error)) {
      Wrong("replace.with", error);
    }
    return ReplaceAction{replace.field(), std::move(pattern), replace.with()};
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
    auto table = ReadTable(bytes->second);
    if (!table.ok()) return WithContext(table.status(), file);
    auto gazetteer = Gazetteer::Make(*std::move(table));
    if (!gazetteer.ok()) return WithContext(gazetteer.status(), file);
    auto shared = std::make_shared<const Gazetteer>(*std::move(gazetteer));
    gazetteers_.emplace(file, shared);
    return shared;
  }

  const v1::Pipeline& files_;
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

StatusOr<Rules> Rules::Compile(const v1::Prepare& prepare, const v1::Pipeline& files) {
  Compiler compiler(files);
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
  for (const Rule& rule : *rules_) {
    if (rule.when && !rule.when->Holds(value)) continue;
    RuleRunner runner(value, result);
    if (const Status status = std::visit(runner, rule.action); !status.ok()) Fail(status, result);
    if (runner.did()) {
      result.notes.push_back(runner.found().empty() ? rule.name : fmt::format("{}: {}", rule.name, runner.found()));
    }
    if (result.state != v1::ITEM_STATE_OK) {
      result.message = result.message.empty() ? rule.name : fmt::format("{}: {}", rule.name, result.message);
      break;
    }
  }
  result.item = std::move(value.get_object());
  return result;
}

}  // namespace millrace::rules
