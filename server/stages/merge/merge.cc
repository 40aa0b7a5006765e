#include "server/stages/merge/merge.h"

#include <memory>
#include <utility>

#include "server/stages/merge/merging.h"
#include "server/stages/stage_work.h"
#include "server/stages/stop_flag.h"

namespace millrace {
namespace {

class MergeStage final : public BarrierStage {
 public:
  MergeStage(const v1::Merge& merge, PairRules rules) : merge_(merge), rules_(std::move(rules)) {}

  // Reads the input three times, so that only the features of items that are not joined are ever in memory. Work on the
  // pool shares the ownership of the merging, because a crash destroys this frame and not that work.
  Task<Status> Run(StageContext& context, ItemReader& reader, ItemWriter& writer) const override {
    const auto merging = std::make_shared<Merging>(merge_, rules_);
    const StopFlag stop(context.stop);
    using Step = Status (Merging::*)(const std::vector<InputItem>&);
    for (const Step step : {&Merging::Add, &Merging::Collect}) {
      while (true) {
        MR_CO_ASSIGN_OR_RETURN(std::vector<InputItem> items, co_await reader.Next());
        if (items.empty()) break;
        auto take = [merging, step, page = std::move(items)] { return (merging.get()->*step)(page); };
        MR_CO_RETURN_IF_ERROR(co_await Compute(context.loop, context.pool, std::move(take)));
      }
      reader.Rewind();
      if (step != &Merging::Add) continue;
      auto decide = [merging, flag = stop.Share()] { return merging->Decide(*flag); };
      MR_CO_RETURN_IF_ERROR(co_await Compute(context.loop, context.pool, std::move(decide)));
      writer.Note(merging->oddities());
    }
    while (true) {
      MR_CO_ASSIGN_OR_RETURN(std::vector<InputItem> items, co_await reader.Next());
      if (items.empty()) co_return absl::OkStatus();
      auto end = [merging, page = std::move(items)]() -> StatusOr<std::vector<StageItem>> {
        return merging->Results(page);
      };
      MR_CO_ASSIGN_OR_RETURN(std::vector<StageItem> results,
                             co_await Compute(context.loop, context.pool, std::move(end)));
      if (!results.empty()) MR_CO_RETURN_IF_ERROR(co_await writer.Put(std::move(results)));
    }
  }

 private:
  v1::Merge merge_;
  PairRules rules_;
};

StatusOr<StageWork> Make(const StageDefinition& definition) {
  const v1::Merge& merge = definition.stage.merge();
  std::vector<FieldViolation> wrong;
  if (merge.fields().empty()) wrong.push_back({"merge.fields", "expected at least one field to compare"});
  if (merge.rules().empty()) wrong.push_back({"merge.rules", "expected at least one rule"});
  if (!wrong.empty()) return MakeFieldError(Reason::kInvalidDefinition, "the merge stage is not valid", wrong);
  MR_ASSIGN_OR_RETURN(PairRules rules, PairRules::Compile(merge));
  return std::make_unique<MergeStage>(merge, std::move(rules));
}

// The conditions of rules see a pair of items. Returns the items' field that a name stands for.
std::string FieldRead(const v1::Stage&, std::string_view path, std::string_view name) {
  if (!path.starts_with("merge.rules[")) return std::string(name);
  if (name == "similarity" || name == "days_apart") return "";
  for (const std::string_view side : {"left.", "right.", "shared."}) {
    if (name.starts_with(side)) return std::string(name.substr(side.size()));
  }
  return std::string(name);
}

StageKind::Fields FieldsOf(const v1::Stage& stage) {
  FieldTree made;
  for (const char* name : {"id", "size"}) made.Member(name);
  made.Member("members") = FieldTree::ListOf(FieldTree());
  made.Member("merged") = FieldTree::Any();
  for (const std::string& name : GroupFields(stage.merge().keep()).names()) made.Member(name) = FieldTree::Any();
  return {.made = std::move(made), .fresh = false};
}

}  // namespace

StageKind MergeKind() {
  StageKind kind;
  kind.name = "merge";
  kind.shape = StageShape::kBarrier;
  kind.semantics_version = 2;
  kind.make = Make;
  kind.fields = FieldsOf;
  kind.field_read = FieldRead;
  return kind;
}

}  // namespace millrace
