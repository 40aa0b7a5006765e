#include "server/engine/run/forecast.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "server/engine/step/model_use.h"

namespace millrace {
namespace {

// Reads what the real store has and drops what is committed.
class ForgetfulStore final : public Store {
 public:
  explicit ForgetfulStore(Store& real) : real_(real) {}

  Task<Status> Commit(WriteBatch, CommitMode) override { co_return absl::OkStatus(); }
  Task<StatusOr<std::optional<std::string>>> Get(std::string key) override {
    co_return co_await real_.Get(std::move(key));
  }
  Task<StatusOr<std::vector<std::optional<std::string>>>> MultiGet(std::vector<std::string> keys) override {
    co_return co_await real_.MultiGet(std::move(keys));
  }
  Task<StatusOr<ScanPage>> Scan(std::string begin, std::string end, size_t entries_max, size_t bytes_max,
                                Direction direction) override {
    co_return co_await real_.Scan(std::move(begin), std::move(end), entries_max, bytes_max, direction);
  }
  Task<StatusOr<Size>> EstimateSize(std::string begin, std::string end) override {
    co_return co_await real_.EstimateSize(std::move(begin), std::move(end));
  }
  StoreState state() const override { return real_.state(); }
  Task<void> WaitForChange(StoreState from) override { co_await real_.WaitForChange(from); }
  StoreFigures Figures() const override { return real_.Figures(); }

 private:
  Store& real_;
};

// Counts questions and those with a cached answer, and answers none.
class CountingCalls final : public CallHandler {
 public:
  CountingCalls(ModelDirectory& models, AnswerMemory& answers, v1::PlanPipelineResponse& response)
      : models_(models), answers_(answers), response_(response) {}

  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    CallOutcome outcome;
    outcome.stopped = true;
    v1::StagePlan* const stage = Find(context.stage);
    if (stage == nullptr) co_return outcome;
    Asked& asked = asked_[context.stage];
    if (++asked.calls == 1) asked.question = request.question.messages;
    asked.all_equal = asked.all_equal && Equal(asked.question, request.question.messages);
    size_t bytes = 0;
    for (const backend::Message& message : request.question.messages) bytes += message.content.size();
    stage->set_calls(stage->calls() + 1);
    stage->set_estimated_input_tokens(stage->estimated_input_tokens() + static_cast<int64_t>(bytes + 3) / 4);
    stage->set_max_output_tokens(stage->max_output_tokens() + request.question.max_tokens);
    stage->set_unpriced(stage->unpriced() || !models_.HasKnownCost(request.model_alias));
    const StatusOr<bool> remembered = co_await answers_.IsRemembered(std::move(context), std::move(request));
    if (remembered.ok() && *remembered) stage->set_cache_hits(stage->cache_hits() + 1);
    co_return outcome;
  }

  // Warns of stages that ask the same about all their items.
  void Warn() {
    for (const auto& [stage, asked] : asked_) {
      if (asked.calls < 2 || !asked.all_equal) continue;
      response_.add_warnings(
          fmt::format("stage \"{}\" asks the same question about all of its {} items", stage, asked.calls));
    }
  }

 private:
  struct Asked {
    int64_t calls = 0;
    std::vector<backend::Message> question;  // the first one
    bool all_equal = true;
  };

  static bool Equal(const std::vector<backend::Message>& a, const std::vector<backend::Message>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const backend::Message& x, const backend::Message& y) {
      return x.role == y.role && x.content == y.content;
    });
  }

  v1::StagePlan* Find(const std::string& name) {
    for (v1::StagePlan& stage : *response_.mutable_stages()) {
      if (stage.stage() == name) return &stage;
    }
    return nullptr;
  }

  ModelDirectory& models_;
  AnswerMemory& answers_;
  v1::PlanPipelineResponse& response_;
  std::map<std::string, Asked> asked_;  // by stage
};

// A stage that calls models: its calls are counted, and none of its items ends.
class CountedStage final : public CallingStage {
 public:
  CountedStage(std::shared_ptr<const StageWork> real, std::function<void()> on_item)
      : real_(std::move(real)), on_item_(std::move(on_item)) {}

  Task<StageItem> Process(CallingContext& context, ParsedItem item) const override {
    on_item_();
    [[maybe_unused]] const StageItem made = co_await WorkAs<CallingStage>(*real_).Process(context, std::move(item));
    StageItem unended;
    unended.stopped = true;
    co_return unended;
  }

 private:
  const std::shared_ptr<const StageWork> real_;
  const std::function<void()> on_item_;
};

// A barrier that is not run if its result is not memoized.
class UnrunBarrier final : public BarrierStage {
 public:
  explicit UnrunBarrier(std::function<void()> on_run) : on_run_(std::move(on_run)) {}

  Task<Status> Run(StageContext&, ItemReader&, ItemWriter&) const override {
    on_run_();
    co_return absl::OkStatus();
  }

 private:
  const std::function<void()> on_run_;
};

// Counts the items that a stage takes in, and digests them for a barrier, which can't read them again.
class Intake final : public ItemConsumer {
 public:
  Intake(Loop& loop, Pool& pool, bool digests) : loop_(loop), pool_(pool), digests_(digests) {}

  Task<void> Put(std::vector<InputItem> items) override {
    items_ += static_cast<int64_t>(items.size());
    for (const InputItem& item : items) bytes_ += item.json ? static_cast<int64_t>(item.json->size()) : 0;
    if (!digests_ || !status_.ok()) co_return;
    auto add = [digester = digester_, items = std::move(items)] { return digester->Add(items); };
    status_ = co_await Compute(loop_, pool_, std::move(add));
  }
  void Close() override {}

  int64_t items() const { return items_; }
  int64_t bytes() const { return bytes_; }
  StatusOr<Digest> Finish() {
    MR_RETURN_IF_ERROR(status_);
    return digester_->Finish();
  }

 private:
  Loop& loop_;
  Pool& pool_;
  const bool digests_;
  const std::shared_ptr<ItemListDigester> digester_ = std::make_shared<ItemListDigester>();
  Status status_;
  int64_t items_ = 0;
  int64_t bytes_ = 0;
};

class Forecast final : public StepHost {
 public:
  Forecast(const EngineDeps& deps, const EngineOptions& options, storage::v1::RunRecord record)
      : store_(deps.store),
        calls_(deps.models, deps.answers, response_),
        deps_{.loop = deps.loop,
              .pool = deps.pool,
              .store = store_,
              .calls = calls_,
              .models = deps.models,
              .answers = deps.answers,
              .traffic = deps.traffic,
              .stages = deps.stages,
              .files = deps.files},
        options_(options),
        record_(std::move(record)),
        stop_(std::make_shared<StopSignal>(deps.loop)) {}

  Task<Status> Load(MadeStages made);
  // `self` is held by all coroutines, which may be destroyed in any order.
  Task<Status> Run(std::shared_ptr<Forecast> self);
  v1::PlanPipelineResponse Report();

  const EngineDeps& deps() const override { return deps_; }
  const EngineOptions& options() const override { return options_; }
  Store& store() override { return store_; }
  const Plan& plan() const override { return stages_.plan; }
  const FileAccess& files() const override { return stages_.files ? *stages_.files : deps_.files; }
  StageSlot& slot(int stage) override { return *stages_.slots[static_cast<size_t>(stage)]; }
  const storage::v1::RunRecord& record() const override { return record_; }
  std::shared_ptr<StopSignal> stop() override { return stop_; }
  std::shared_ptr<ModelLease> models() override { return models_; }
  void Moved() override {}
  void LookForParked() override {}
  void NoteMemos(int64_t, int64_t, int64_t) override {}
  void FailStage(int stage, const Status& error) override;
  void PauseForCheck(int, std::string) override {}
  Task<Status> Warn(std::string) override { co_return absl::OkStatus(); }
  Task<StatusOr<Digest>> DigestInput(int stage) override { co_return intake(stage).Finish(); }
  using StepHost::EndStage;
  Task<Status> EndStage(int stage, RecordChange change, WriteBatch more) override;
  Task<bool> AwaitRoom() override { co_return !stopped(); }

 private:
  Intake& intake(int stage) { return *intakes_[static_cast<size_t>(stage)]; }
  void ReplaceWork(int stage);
  void FindLimits();
  bool ComesInOrder(int stage) const;
  static Task<void> RunStep(Step& step, [[maybe_unused]] std::shared_ptr<Forecast> self) { co_await step.Run(); }
  void WakeSteps() {
    for (const std::unique_ptr<Step>& step : steps_) step->Wake();
  }

  v1::PlanPipelineResponse response_;
  ForgetfulStore store_;
  CountingCalls calls_;
  const EngineDeps deps_;
  const EngineOptions& options_;
  const storage::v1::RunRecord record_;
  const std::shared_ptr<StopSignal> stop_;
  std::shared_ptr<ModelLease> models_;
  std::shared_ptr<const v1::Pipeline> definition_;  // the stages were made from it
  std::vector<std::shared_ptr<const StageWork>> work_;
  RunStages stages_;
  std::vector<std::unique_ptr<Intake>> intakes_;  // by stage
  std::vector<std::unique_ptr<Step>> steps_;
  std::map<int, std::string> unknown_;  // stages whose own items are not known, and why
  std::map<int, std::string> ends_;     // stages whose results are not known: the reason for those behind
  std::set<int> without_step_;          // sinks, and stages that are not known from the start
  Status error_;
};

Task<Status> Forecast::Load(MadeStages made) {
  definition_ = made.definition;
  work_ = made.work;
  auto unchecked = std::make_shared<v1::Pipeline>(*made.definition);
  for (v1::Stage& stage : *unchecked->mutable_stages()) {
    stage.clear_expect();
    stage.clear_max_failures();
  }
  made.definition = std::move(unchecked);
  made.plan = made.plan.Streaming();
  MR_CO_ASSIGN_OR_RETURN(stages_, co_await LoadStages(deps_, store_, store_, std::move(made), record_));
  std::vector<std::string> names = ModelsOf(deps_, *stages_.definition);
  models_ = co_await deps_.models.Look(std::move(names));
  MR_CO_RETURN_IF_ERROR(SetMemoRules(*this, *stages_.definition, *models_));
  for (int stage = 0; stage < plan().size(); ++stage) {
    const PlanStage& at = plan().stage(stage);
    v1::StagePlan& figures = *response_.add_stages();
    figures.set_stage(at.name);
    figures.set_kind(at.kind);
    slot(stage).rows->set_checks_ids(false);
    const bool digests = at.shape == StageShape::kBarrier && at.needs.size() == 1;
    intakes_.push_back(std::make_unique<Intake>(deps_.loop, deps_.pool, digests));
    for (const int need : at.needs) slot(need).rows->Attach(*intakes_.back());
    ReplaceWork(stage);
  }
  FindLimits();
  co_return absl::OkStatus();
}

// Pure stages and fetches keep the real work.
void Forecast::ReplaceWork(int stage) {
  const std::string& name = plan().stage(stage).name;
  StageSlot& at = slot(stage);
  std::unique_ptr<BarrierStage> barrier;
  std::unique_ptr<CallingStage> calling;
  switch (ShapeOf(*at.work)) {
    case StageShape::kBarrier:
      barrier = std::make_unique<UnrunBarrier>(
          [this, stage, name] { ends_.emplace(stage, fmt::format("what `{}` makes is known when it runs", name)); });
      at.work = std::make_shared<const StageWork>(std::move(barrier));
      break;
    case StageShape::kCalling:
      response_.mutable_stages(stage)->set_calls(0);
      calling = std::make_unique<CountedStage>(at.work, [this, stage, name] {
        ends_.emplace(stage, fmt::format("answers for `{}` are not known yet", name));
      });
      at.work = std::make_shared<const StageWork>(std::move(calling));
      break;
    default:
      break;
  }
}

// A barrier is recognised by its items in ordinal order. They are delivered in that order through a chain of stages.
bool Forecast::ComesInOrder(int stage) const {
  const std::vector<int>& needs = plan().stage(stage).needs;
  return needs.empty() || (needs.size() == 1 && ComesInOrder(needs.front()));
}

// Finds the stages that can't be known, whatever their items are.
void Forecast::FindLimits() {
  for (const int stage : plan().order()) {
    const PlanStage& at = plan().stage(stage);
    if (at.shape == StageShape::kFetch && slot(stage).input) {
      unknown_.emplace(stage, "its items come from the client");
      ends_.emplace(stage, fmt::format("the items of `{}` come from the client", at.name));
    } else if (at.shape == StageShape::kBarrier && (at.needs.size() > 1 || slot(stage).when)) {
      unknown_.emplace(stage, "known when it runs");
      ends_.emplace(stage, "known when it runs");
    } else if (at.shape == StageShape::kBarrier && !ComesInOrder(stage)) {
      ends_.emplace(stage, fmt::format("what `{}` makes is known when it runs", at.name));
    }
    if (at.shape == StageShape::kSink) without_step_.insert(stage);
  }
  for (const auto& [stage, reason] : ends_) {
    without_step_.insert(stage);
    for (const int behind : plan().After(stage)) without_step_.insert(behind);
  }
}

Task<Status> Forecast::Run(std::shared_ptr<Forecast> self) {
  // All are made before any runs, so that each gets all items.
  for (const int stage : plan().order()) {
    if (!without_step_.contains(stage)) steps_.push_back(MakeStep(*this, stage));
  }
  TaskGroup group(deps_.loop);
  for (const std::unique_ptr<Step>& step : steps_) group.Spawn(RunStep(*step, self));
  co_await group.Join();
  co_return error_;
}

void Forecast::FailStage(int, const Status& error) {
  if (error_.ok()) error_ = error;
  stop_->Stop();
  WakeSteps();
}

Task<Status> Forecast::EndStage(int stage, RecordChange change, WriteBatch more) {
  MR_CO_RETURN_IF_ERROR(co_await slot(stage).rows->End(std::move(change), std::move(more)));
  WakeSteps();
  co_return absl::OkStatus();
}

v1::PlanPipelineResponse Forecast::Report() {
  std::map<int, std::string> unknown = unknown_;
  for (const int stage : plan().order()) {
    const PlanStage& at = plan().stage(stage);
    if (const auto end = ends_.find(stage); end != ends_.end()) {
      for (const int behind : plan().After(stage)) unknown.emplace(behind, end->second);
    }
    v1::StagePlan& figures = *response_.mutable_stages(stage);
    if (const auto reason = unknown.find(stage); reason != unknown.end()) {
      v1::StagePlan only_reason;
      only_reason.set_stage(at.name);
      only_reason.set_kind(at.kind);
      only_reason.set_reason(reason->second);
      figures = std::move(only_reason);
      continue;
    }
    const storage::v1::StageRecord& record = slot(stage).rows->record();
    const bool fetches = at.shape == StageShape::kFetch;
    figures.set_items(fetches ? record.progress().items_in() : intake(stage).items());
    figures.set_bytes(fetches ? record.cursor().offset() : intake(stage).bytes());
    figures.set_remembered(record.progress().reused());
    if (at.shape != StageShape::kBarrier) continue;
    // Its list is memoized as a whole.
    figures.set_remembered(ends_.contains(stage) ? 0 : intake(stage).items());
    figures.set_memory_bytes(WorkAs<BarrierStage>(*work_[static_cast<size_t>(stage)])
                                 .MemoryBytes(intake(stage).items(), intake(stage).bytes()));
  }
  calls_.Warn();
  return response_;
}

}  // namespace

Task<StatusOr<v1::PlanPipelineResponse>> MakeForecast(const EngineDeps& deps, const EngineOptions& options,
                                                      MadeStages made, storage::v1::RunRecord record) {
  const auto forecast = std::make_shared<Forecast>(deps, options, std::move(record));
  MR_CO_RETURN_IF_ERROR(co_await forecast->Load(std::move(made)));
  MR_CO_RETURN_IF_ERROR(co_await forecast->Run(forecast));
  co_return forecast->Report();
}

}  // namespace millrace
