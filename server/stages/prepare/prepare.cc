#include "server/stages/prepare/prepare.h"

#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/stages/rules/rules.h"
#include "server/stages/stage_work.h"

namespace millrace {
namespace {

class PrepareStage final : public PureStage {
 public:
  explicit PrepareStage(rules::Rules rules) : rules_(std::move(rules)) {}

  std::vector<StageItem> Compute(std::vector<ParsedItem> items) const override {
    std::vector<StageItem> made;
    made.reserve(items.size());
    for (ParsedItem& item : items) made.push_back(ComputeOne(std::move(item.value), item.item.degraded));
    return made;
  }

 private:
  StageItem ComputeOne(json::value item, bool degraded) const {
    rules::RuleResult result = rules_.Apply(std::move(item.as_object()));
    StageItem made;
    made.state = result.state == v1::ITEM_STATE_OK && degraded ? v1::ITEM_STATE_DEGRADED : result.state;
    made.reason = result.reason;
    made.message = std::move(result.message);
    made.notes = std::move(result.notes);
    made.oddities = std::move(result.oddities);
    if (result.state == v1::ITEM_STATE_OK) made.json = WriteJson(result.item);
    return made;
  }

  rules::Rules rules_;
};

StatusOr<StageWork> MakePrepare(const StageDefinition& definition) {
  StatusOr<rules::Rules> rules =
      rules::Rules::Compile(definition.stage.prepare(), definition.pipeline, definition.shared);
  if (!rules.ok()) {
    return MakeFieldError(Reason::kInvalidDefinition, MessageOf(rules.status()),
                          ViolationsBelow("prepare", rules.status()));
  }
  return std::make_unique<PrepareStage>(*std::move(rules));
}

}  // namespace

StageKind PrepareKind() {
  StageKind kind;
  kind.name = "prepare";
  kind.shape = StageShape::kPure;
  kind.semantics_version = 2;
  kind.make = MakePrepare;
  // All fields that rules make are marked by `writes_field`.
  kind.fields = [](const v1::Stage&) { return StageKind::Fields{.made = FieldTree()}; };
  return kind;
}

}  // namespace millrace
