#include "server/engine/run/run_loader.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "server/config/place.h"
#include "server/config/shared_outputs.h"
#include "server/stages/stop_flag.h"
#include "server/storage/inputs.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

StatusOr<std::vector<std::shared_ptr<const StageWork>>> MakeWork(const StageRegistry& registry,
                                                                 const v1::Pipeline& definition,
                                                                 const FileAccess& files, SharedObjects& objects) {
  std::vector<std::shared_ptr<const StageWork>> work;
  std::vector<FieldViolation> wrong;
  for (int i = 0; i < definition.stages_size(); ++i) {
    const v1::Stage& stage = definition.stages(i);
    const StageKind* kind = registry.Of(stage);
    if (kind == nullptr) {
      return MakeError(Reason::kInvalidDefinition, fmt::format("stages[{}]: no such kind of stage", i));
    }
    StatusOr<StageWork> made = kind->make(StageDefinition{definition, stage, files, &objects});
    if (made.ok()) {
      if (ShapeOf(*made) != kind->shape) {
        return MakeError(Reason::kInternal, fmt::format("kind `{}` made a stage of another shape", kind->name));
      }
      work.push_back(std::make_shared<const StageWork>(*std::move(made)));
    } else if (ViolationsOf(made.status()).empty()) {  // a file that is not allowed
      return WithContext(made.status(), fmt::format("stages[{}] ({})", i, stage.name()));
    } else {
      for (FieldViolation& each : ViolationsBelow(fmt::format("stages[{}]", i), made.status())) {
        wrong.push_back(std::move(each));
      }
    }
  }
  if (!wrong.empty()) return DefinitionError(wrong);
  // Other words for one path were compared by the definition's check; here links and directories count as well.
  if (const std::vector<FieldViolation> shared = SharedOutputs(definition, registry, &files); !shared.empty()) {
    return DefinitionError(shared);
  }
  return work;
}

// Compiles the conditions of the stages that have one.
StatusOr<std::vector<std::optional<rules::ConditionEvaluator>>> MakeConditions(const v1::Pipeline& definition) {
  std::vector<std::optional<rules::ConditionEvaluator>> conditions;
  for (const v1::Stage& stage : definition.stages()) {
    conditions.emplace_back();
    if (!stage.has_when()) continue;
    StatusOr<rules::ConditionEvaluator> when = rules::ConditionEvaluator::Compile(stage.when());
    if (!when.ok()) return WithContext(when.status(), fmt::format("stage `{}`: when", stage.name()));
    conditions.back() = *std::move(when);
  }
  return conditions;
}

Status CheckModels(const EngineDeps& deps, const v1::Stage& stage) {
  for (const std::string& model : deps.stages.ModelsOf(stage)) MR_RETURN_IF_ERROR(deps.models.CheckModel(model));
  return absl::OkStatus();
}

}  // namespace

WorkLimits DefinitionLimits() {
  return {.cpu = std::chrono::seconds(3), .name = "the check of the definition", .reason = Reason::kInvalidDefinition};
}

Task<StatusOr<MadeStages>> MakeStages(const EngineDeps& deps, std::shared_ptr<const v1::Pipeline> definition,
                                      RunFiles files, WorkLimits limits, std::shared_ptr<StopSignal> left) {
  std::shared_ptr<const FileAccess> own;
  if (!files.empty()) own = deps.files.ForRun(std::move(files));
  // Gazetteers and patterns are compiled here: not on the engine thread.
  const StopFlag stop(std::move(left));
  auto make = [&deps, definition, own, limits, flag = stop.Share()]() -> StatusOr<MadeStages> {
    const WorkMeter meter(limits, flag.get());
    MadeStages made;
    made.definition = definition;
    made.files = own;
    auto work = MakeWork(deps.stages, *definition, own ? *own : deps.files, *deps.shared);
    MR_RETURN_IF_ERROR(meter.status());
    MR_ASSIGN_OR_RETURN(made.work, std::move(work));
    auto when = MakeConditions(*definition);
    MR_RETURN_IF_ERROR(meter.status());
    MR_ASSIGN_OR_RETURN(made.when, std::move(when));
    // Runs of equal definitions share one, with its files, which may have megabytes.
    if (!definition->files().empty()) {
      const auto copy = [&definition]() -> StatusOr<v1::Pipeline> { return *definition; };
      const Digest key = Digest::Of("definition " + definition->SerializeAsString());
      MR_ASSIGN_OR_RETURN(made.definition, deps.shared->Get<v1::Pipeline>(key, copy));
    }
    return made;
  };
  MR_CO_ASSIGN_OR_RETURN(MadeStages made, co_await Compute(deps.loop, deps.checks(), std::move(make)));
  std::vector<StageShape> shapes;
  for (const auto& each : made.work) shapes.push_back(ShapeOf(*each));
  MR_CO_ASSIGN_OR_RETURN(made.plan, Plan::Make(*definition, shapes));
  for (const v1::Stage& stage : definition->stages()) {
    const Status models = CheckModels(deps, stage);
    if (!models.ok()) co_return WithContext(models, fmt::format("stage `{}`", stage.name()));
  }
  co_return made;
}

Task<StatusOr<RunStages>> LoadStages(const EngineDeps& deps, Store& store, Store& patient, MadeStages made,
                                     const storage::v1::RunRecord& record) {
  RunStages stages;
  const std::string run = record.run().name();
  for (int i = 0; i < made.plan.size(); ++i) {
    const v1::Stage& definition = made.definition->stages(i);
    auto slot = std::make_unique<StageSlot>();
    slot->index = i;
    slot->definition = &definition;
    slot->work = made.work[i];
    MR_CO_ASSIGN_OR_RETURN(auto stage_record,
                           co_await GetRecord<storage::v1::StageRecord>(store, StageKey(run, definition.name())));
    storage::v1::StageRecord initial;
    if (stage_record) initial = *std::move(stage_record);
    StageRows::Parts rows_parts{deps.loop, deps.pool, patient, deps.cpu_time, &deps.slow()};
    slot->rows = std::make_unique<StageRows>(rows_parts, run, definition.name(), std::move(initial));
    slot->when = std::move(made.when[static_cast<size_t>(i)]);
    const v1::CachePolicy::Mode mode = definition.cache().mode();
    slot->look_up =
        !record.refresh() && (mode == v1::CachePolicy::MODE_UNSPECIFIED || mode == v1::CachePolicy::MODE_USE);
    const StageShape shape = made.plan.stage(i).shape;
    slot->needs_check = shape == StageShape::kFetch && definition.has_expect();
    if (shape == StageShape::kFetch && TakesClientInput(WorkAs<FetchStage>(*slot->work), record, definition.name())) {
      MR_CO_ASSIGN_OR_RETURN(auto state,
                             co_await GetRecord<storage::v1::InputState>(store, InputStateKey(run, definition.name())));
      storage::v1::InputState input_state;
      if (state) input_state = *std::move(state);
      slot->input =
          std::make_shared<ClientInput>(deps.loop, store, patient, run, definition.name(), std::move(input_state));
    }
    stages.slots.push_back(std::move(slot));
  }
  stages.definition = std::move(made.definition);
  stages.plan = std::move(made.plan);
  stages.files = std::move(made.files);
  co_return stages;
}

Task<StatusOr<NewestEvent>> LoadNewestEvent(Store& store, const std::string& run) {
  auto [begin, end] = EventKeys(run);
  MR_CO_ASSIGN_OR_RETURN(
      auto page, co_await store.Scan(std::move(begin), std::move(end), 1, 1 << 20, Store::Direction::kBackwards));
  NewestEvent newest;
  if (page.entries.empty()) co_return newest;
  v1::RunEvent event;
  MR_CO_RETURN_IF_ERROR(DecodeValue(page.entries.front().key, page.entries.front().value, event));
  newest.number = event.number();
  if (event.has_progress()) newest.active_time = event.progress().run().active_time();
  if (event.has_state_changed()) newest.active_time = event.state_changed().run().active_time();
  co_return newest;
}

bool TakesClientInput(const FetchStage& fetch, const storage::v1::RunRecord& record, const std::string& stage) {
  if (fetch.path().empty()) return true;
  return std::find(record.client_inputs().begin(), record.client_inputs().end(), stage) != record.client_inputs().end();
}

}  // namespace millrace
