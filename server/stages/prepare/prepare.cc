#include "server/stages/prepare/prepare.h"

#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/stages/rules/rules.h"

namespace millrace {
namespace {

class PrepareStage final : public ItemStage {
 public:
  explicit PrepareStage(Rules rules) : rules_(std::move(rules)) {}

  bool pure() const override { return true; }

  std::vector<StageItem> Compute(const std::vector<InputItem>& items) const override {
    std::vector<StageItem> made;
    made.reserve(items.size());
    for (const InputItem& item : items) made.push_back(ComputeOne(item));
    return made;
  }

 private:
  StageItem ComputeOne(const InputItem& item) const {
    auto value = ParseJson(*item.json);
    if (!value.ok()) return FailedItem(value.status());
    if (!value->is_object()) return FailedItem(v1::ERROR_REASON_BAD_ITEM, "an item is one JSON object");
    RuleResult result = rules_.Apply(std::move(value->get_object()));
    StageItem made;
    made.state = result.state == v1::ITEM_STATE_OK && item.degraded ? v1::ITEM_STATE_DEGRADED : result.state;
    made.reason = result.reason;
    made.message = std::move(result.message);
    made.notes = std::move(result.notes);
    if (result.state == v1::ITEM_STATE_OK) {
      const json::value whole(std::move(result.item));
      made.json = json::serialize(whole);
    }
    return made;
  }

  Rules rules_;
};

// Fields that a rule writes.
void AddFieldsOf(const v1::Rule& rule, std::vector<std::string>& fields) {
  const auto add = [&](const std::string& path) { fields.push_back(path.substr(0, path.find('.'))); };
  if (rule.has_set()) add(rule.set().field());
  if (rule.has_score()) add(rule.score().field());
  if (rule.has_extract()) add(rule.extract().field());
  for (const v1::LookUpField& set : rule.look_up().set()) add(set.field());
}

StatusOr<StageWork> MakePrepare(const StageDefinition& definition) {
  StatusOr<Rules> rules = Rules::Compile(definition.stage.prepare(), definition.pipeline);
  if (!rules.ok()) {
    return MakeFieldError(Reason::kInvalidDefinition, MessageOf(rules.status()),
                          ViolationsBelow("prepare", rules.status()));
  }
  StageWork work;
  work.items = std::make_unique<PrepareStage>(*std::move(rules));
  return work;
}

StageKind::Fields PrepareFields(const v1::Stage& stage) {
  StageKind::Fields fields;
  fields.made.emplace();
  for (const v1::Rule& rule : stage.prepare().rules()) AddFieldsOf(rule, *fields.made);
  return fields;
}

}  // namespace

StageKind PrepareKind() {
  StageKind kind;
  kind.name = "prepare";
  kind.semantics_version = 1;
  kind.make = MakePrepare;
  kind.fields = PrepareFields;
  return kind;
}

}  // namespace millrace
