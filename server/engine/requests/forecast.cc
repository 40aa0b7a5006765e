#include "server/engine/requests/forecast.h"

#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "server/engine/step/memo_lookup.h"
#include "server/engine/step/row_source.h"
#include "server/engine/times.h"
#include "server/storage/memos.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

// Looks every question up and answers none.
class CountingCalls final : public CallHandler {
 public:
  explicit CountingCalls(CallDesk& desk) : desk_(desk) {}

  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    v1::StagePlan& plan = *plan_;
    plan.set_calls(plan.calls() + 1);
    int64_t bytes = 0;
    for (const backend::Message& message : request.question.messages)
      bytes += static_cast<int64_t>(message.content.size());
    plan.set_estimated_input_tokens(plan.estimated_input_tokens() + (bytes + 3) / 4);
    plan.set_max_output_tokens(plan.max_output_tokens() + request.question.max_tokens);
    plan.set_unpriced(plan.unpriced() || !desk_.HasKnownCost(request.model_alias));
    const StatusOr<bool> remembered = co_await desk_.IsRemembered(std::move(context), std::move(request));
    if (remembered.ok() && *remembered) plan.set_cache_hits(plan.cache_hits() + 1);
    CallOutcome outcome;
    outcome.stopped = true;
    co_return outcome;
  }

  void CountInto(v1::StagePlan& plan) { plan_ = &plan; }

 private:
  CallDesk& desk_;
  v1::StagePlan* plan_ = nullptr;
};

// A run that is only thought of: what steps read of a run, and nothing that they could change.
class ImaginedRun final : public StepHost {
 public:
  ImaginedRun(const EngineDeps& deps, const EngineOptions& options, storage::v1::RunRecord record, RunStages stages)
      : deps_(deps),
        options_(options),
        record_(std::move(record)),
        stages_(std::move(stages)),
        stop_(std::make_shared<StopSignal>(deps.loop)) {}

  const EngineDeps& deps() const override { return deps_; }
  const EngineOptions& options() const override { return options_; }
  Store& store() override { return deps_.store; }
  const Plan& plan() const override { return stages_.plan; }
  StageSlot& slot(int stage) override { return *stages_.slots[stage]; }
  const storage::v1::RunRecord& record() const override { return record_; }
  std::shared_ptr<StopSignal> stop() override { return stop_; }
  void Moved() override {}
  void LookForParked() override {}
  void NoteMemos(int64_t, int64_t, int64_t) override {}
  void Fail(v1::RunError) override {}
  void PauseForCheck(int, std::string) override {}
  Task<Status> Warn(std::string) override { co_return absl::OkStatus(); }
  Task<Status> EndStage(int, RecordChange, WriteBatch) override { co_return absl::OkStatus(); }
  Task<bool> AwaitRoom() override { co_return true; }

 private:
  const EngineDeps& deps_;
  const EngineOptions& options_;
  const storage::v1::RunRecord record_;
  RunStages stages_;
  const std::shared_ptr<StopSignal> stop_;
};

class Planner {
 public:
  Planner(const EngineDeps& deps, ImaginedRun& run) : deps_(deps), run_(run), calls_(deps.desk) {
    for (const PlanStage& stage : run.plan().stages()) {
      v1::StagePlan& plan = *response_.add_stages();
      plan.set_stage(stage.name);
      plan.set_kind(stage.kind);
    }
  }

  Task<StatusOr<v1::PlanPipelineResponse>> Run() {
    for (const int stage : run_.plan().order()) {
      if (unknown_.contains(stage)) {
        SpreadUnknown(stage, response_.stages(stage).reason());
        continue;
      }
      switch (run_.plan().stage(stage).shape) {
        case StageShape::kFetch:
          MR_CO_RETURN_IF_ERROR(co_await Fetch(stage));
          break;
        case StageShape::kBarrier:
          MR_CO_RETURN_IF_ERROR(co_await Barrier(stage));
          break;
        default:
          break;  // items came as they were delivered
      }
    }
    for (int i = 0; i < run_.plan().size(); ++i) {
      v1::StagePlan& plan = *response_.mutable_stages(i);
      if (unknown_.contains(i)) {
        plan.clear_items();
        plan.clear_calls();
      } else if (!plan.has_items()) {
        plan.set_items(0);
      }
    }
    co_return std::move(response_);
  }

 private:
  // Items that a barrier gets, as they come in order.
  struct Gathered {
    Digester digester;
    int64_t items = 0;
  };

  void SpreadUnknown(int stage, const std::string& reason) {
    for (const int after : run_.plan().After(stage)) {
      if (unknown_.insert(after).second) response_.mutable_stages(after)->set_reason(reason);
    }
  }

  Task<Status> Fetch(int stage) {
    v1::StagePlan& plan = *response_.mutable_stages(stage);
    plan.set_items(0);
    const StageSlot& slot = run_.slot(stage);
    if (slot.input) {
      plan.clear_items();
      unknown_.insert(stage);
      plan.set_reason("its items come from the client");
      SpreadUnknown(stage, fmt::format("the items of `{}` come from the client", plan.stage()));
      co_return absl::OkStatus();
    }
    storage::v1::FetchCursor begin;
    auto source = co_await OpenRows(run_, stage, std::move(begin));
    if (!source.ok()) co_return source.status();
    const int64_t limit = run_.record().run().limit();
    bool done = false;
    while (!done) {
      StatusOr<RowBatch> batch = co_await (*source)->Next();
      if (!batch.ok()) co_return batch.status();
      done = batch->after.done() || batch->waits;
      plan.set_bytes(batch->after.offset());
      int64_t number = batch->after.rows() - static_cast<int64_t>(batch->rows.size());
      std::vector<InputItem> items;
      for (FetchedRow& row : batch->rows) {
        ++number;
        if (limit > 0 && number > limit) {
          done = true;
          break;
        }
        plan.set_items(plan.items() + 1);
        if (row.item.state != v1::ITEM_STATE_OK) continue;
        items.push_back({.ordinal = number,
                         .id = row.id.empty() ? fmt::format("row-{}", number) : std::move(row.id),
                         .json = std::make_shared<const std::string>(std::move(row.item.json)),
                         .degraded = false});
      }
      MR_CO_RETURN_IF_ERROR(co_await Deliver(stage, std::move(items)));
    }
    co_return absl::OkStatus();
  }

  Task<Status> Deliver(int from, std::vector<InputItem> items) {
    if (items.empty()) co_return absl::OkStatus();
    for (const int stage : run_.plan().stage(from).consumers) {
      v1::StagePlan& plan = *response_.mutable_stages(stage);
      plan.set_items(plan.items() + static_cast<int64_t>(items.size()));
      for (const InputItem& item : items) plan.set_bytes(plan.bytes() + static_cast<int64_t>(item.json->size()));
      if (unknown_.contains(stage)) continue;
      switch (run_.plan().stage(stage).shape) {
        case StageShape::kItems:
          MR_CO_RETURN_IF_ERROR(co_await WorkOn(stage, items));
          break;
        case StageShape::kBarrier:
          MR_CO_RETURN_IF_ERROR(co_await Gather(stage, items));
          break;
        default:
          break;
      }
    }
    co_return absl::OkStatus();
  }

  Task<Status> WorkOn(int stage, std::vector<InputItem> items) {
    const StageSlot& slot = run_.slot(stage);
    v1::StagePlan& plan = *response_.mutable_stages(stage);
    if (!slot.work->items->pure()) plan.set_calls(plan.calls());
    LookUpParts parts{deps_.loop, deps_.pool, deps_.store};
    StatusOr<LookedUp> looked = co_await LookUp(parts, std::move(items), slot.when, slot.memo_rules);
    if (!looked.ok()) co_return looked.status();
    plan.set_remembered(plan.remembered() + looked->hits);
    std::vector<InputItem> made;
    for (EndedItem& ended : looked->ended) Add(std::move(ended), made);
    if (!looked->open.empty() && slot.work->items->pure()) {
      auto compute = [work = slot.work, open = std::move(looked->open)]() mutable {
        std::vector<InputItem> inputs;
        for (const OpenItem& each : open) inputs.push_back(each.item);
        std::vector<StageItem> results = work->items->Compute(inputs);
        return std::make_pair(std::move(inputs), std::move(results));
      };
      auto [inputs, results] = co_await Compute(deps_.loop, deps_.pool, std::move(compute));
      for (size_t i = 0; i < inputs.size() && i < results.size(); ++i) {
        EndedItem ended;
        ended.ordinal = inputs[i].ordinal;
        ended.input_id = std::move(inputs[i].id);
        ended.item = std::move(results[i]);
        Add(std::move(ended), made);
      }
    } else if (!looked->open.empty()) {
      MR_CO_RETURN_IF_ERROR(co_await Count(stage, std::move(looked->open)));
    }
    co_return co_await Deliver(stage, std::move(made));
  }

  static void Add(EndedItem ended, std::vector<InputItem>& made) {
    if (ended.item.state != v1::ITEM_STATE_OK && ended.item.state != v1::ITEM_STATE_DEGRADED) return;
    if (!ended.json) ended.json = std::make_shared<const std::string>(std::move(ended.item.json));
    made.push_back({.ordinal = ended.ordinal,
                    .id = ended.item.id.empty() ? std::move(ended.input_id) : std::move(ended.item.id),
                    .json = std::move(ended.json),
                    .degraded = false});
  }

  Task<Status> Count(int stage, std::vector<OpenItem> open) {
    const StageSlot& slot = run_.slot(stage);
    calls_.CountInto(*response_.mutable_stages(stage));
    const StageContext made = MakeStageContext(run_, stage);
    StageContext context{made.loop,       made.pool,         calls_,   made.run, made.pipeline, made.stage,
                         made.generation, made.as_of_micros, made.call};
    for (OpenItem& each : open) {
      co_await slot.work->items->Process(context, std::move(each.item));
    }
    SpreadUnknown(stage, fmt::format("answers for `{}` are not there yet", run_.plan().stage(stage).name));
    co_return absl::OkStatus();
  }

  Task<Status> Gather(int stage, std::vector<InputItem> items) {
    if (run_.plan().stage(stage).needs.size() > 1 || run_.slot(stage).when) {
      unknown_.insert(stage);
      response_.mutable_stages(stage)->set_reason("known when it runs");
      co_return absl::OkStatus();
    }
    auto gathered = gathered_.try_emplace(stage, std::make_shared<Gathered>()).first->second;
    auto add = [gathered, items = std::move(items)]() -> Status {
      for (const InputItem& item : items) {
        const StatusOr<Digest> digest = ItemDigest(*item.json);
        if (!digest.ok()) return digest.status();
        gathered->digester.AddPart(item.id).Add(digest->bytes());
        ++gathered->items;
      }
      return absl::OkStatus();
    };
    co_return co_await Compute(deps_.loop, deps_.pool, std::move(add));
  }

  // A barrier whose list is remembered hands it on; another's result is known when it runs.
  Task<Status> Barrier(int stage) {
    const StageSlot& slot = run_.slot(stage);
    v1::StagePlan& plan = *response_.mutable_stages(stage);
    plan.set_memory_bytes(slot.work->barrier->MemoryBytes(plan.items(), plan.bytes()));
    auto gathered = gathered_.try_emplace(stage, std::make_shared<Gathered>()).first->second;
    const Digest key = slot.memo_rules->KeyOf("", gathered->digester.Finish());
    const int64_t now_micros = deps_.loop.clock().WallMicros();
    auto head = co_await GetRecord<storage::v1::MemoRecord>(deps_.store, slot.memo_rules->StoreKey(key));
    if (!head.ok() || !*head || !slot.memo_rules->Accepts(**head, now_micros)) {
      SpreadUnknown(stage, fmt::format("what `{}` makes is known when it runs", plan.stage()));
      co_return absl::OkStatus();
    }
    plan.set_remembered(gathered->items);
    int64_t ordinal = 0;
    for (int64_t part = -1; part < (*head)->further_records(); ++part) {
      storage::v1::MemoRecord record = **head;
      if (part >= 0) {
        auto more = co_await GetRecord<storage::v1::MemoRecord>(deps_.store, MemoPartKey(key, part));
        if (!more.ok() || !*more) {
          SpreadUnknown(stage, fmt::format("what `{}` makes is known when it runs", plan.stage()));
          co_return absl::OkStatus();
        }
        record = *std::move(*more);
      }
      std::vector<InputItem> made;
      for (storage::v1::MemoItem& item : *record.mutable_items()) {
        InputItem place;
        place.ordinal = ordinal++;
        Add(FromMemo(std::move(place), record, std::move(item)), made);
      }
      MR_CO_RETURN_IF_ERROR(co_await Deliver(stage, std::move(made)));
    }
    co_return absl::OkStatus();
  }

  const EngineDeps& deps_;
  ImaginedRun& run_;
  CountingCalls calls_;
  v1::PlanPipelineResponse response_;
  std::map<int, std::shared_ptr<Gathered>> gathered_;
  std::set<int> unknown_;  // stages whose input is not known before an earlier one has run
};

}  // namespace

Task<StatusOr<v1::PlanPipelineResponse>> Forecast(const EngineDeps& deps, const EngineOptions& options, MadeStages made,
                                                  int64_t limit) {
  storage::v1::RunRecord record;
  record.mutable_run()->set_pipeline(made.definition->name());
  record.mutable_run()->set_limit(limit);
  *record.mutable_run()->mutable_as_of() = ToTimestamp(deps.loop.clock().WallMicros());
  MR_CO_ASSIGN_OR_RETURN(RunStages stages, co_await LoadStages(deps, deps.store, deps.store, std::move(made), record));
  ImaginedRun run(deps, options, std::move(record), std::move(stages));
  Planner planner(deps, run);
  co_return co_await planner.Run();
}

}  // namespace millrace
