// An engine in a small world: simulated time, a store in memory, toy stage kinds, and a toy call layer that counts
// every question that it really asks. The world survives crashes of the engine.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/base/json.h"
#include "server/engine/engine.h"
#include "server/storage/memory_store.h"

namespace millrace {

using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;

// The world outside the engine.
struct Outside {
  std::map<std::string, int> asked;            // how often each question was really asked
  std::vector<TimePoint> starts;               // when each question was asked
  std::map<std::string, std::string> answers;  // by key: the call layer's own memory
  std::vector<std::vector<std::string>> sink;  // ids of each write
  std::vector<std::string> generations;
  std::map<std::string, std::string> files;
  int reads = 0;                          // reads of files so far
  int64_t prepared = 0;                   // items that `prepare` has computed
  std::string failing;                    // the target that every run waits for; empty: none
  CallTraffic::WaitingCall waiting;       // of every run
  std::set<std::string> gone;             // models that are not configured any more
  std::set<std::string> changed;          // models whose configuration has changed
  int clustered = 0;                      // how often `cluster` has run
  std::string blocked;                    // the target that a human must repair; empty: none
  AttemptsByStage begun;                  // attempts that no stored count has
  std::vector<std::string> reconsidered;  // models whose targets a resume reconsidered
  Duration latency = 10ms;
  std::function<Status(const std::string& question)> fault;  // error of a call; empty: none fails
  int in_flight = 0;
  int in_flight_max = 0;
  int leases = 0;  // episodes that use models
};

// Answers a question with itself in capitals. The answer is found again once its settlement is in the store.
class ToyCalls final : public CallHandler, public ModelDirectory, public AnswerMemory, public CallTraffic {
 public:
  ToyCalls(Loop& loop, Store& store, Outside& outside) : loop_(loop), store_(store), outside_(outside) {}

  Task<CallOutcome> Handle(CallContext context, CallRequest request) override {
    CallOutcome outcome;
    const std::string question = request.question.messages.front().content;
    const std::string key = "x/answer/" + question;
    outcome.call_keys.push_back(Digest::Of(question));
    outcome.totals.set_calls(1);
    auto known = co_await store_.Get(key);
    if (known.ok() && *known) {
      outcome.text = **known;
      outcome.cache_hit = true;
      outcome.totals.set_cache_hits(1);
      co_return outcome;
    }
    if (context.stop && context.stop->stopped()) {
      outcome.stopped = true;
      co_return outcome;
    }
    if (!outside_.blocked.empty()) {
      co_await loop_.Sleep(outside_.latency);
      outcome.stopped = true;
      outcome.status = MakeError(Reason::kProviderCredentials, "HTTP 401");
      outcome.blockages.push_back({outside_.blocked, Reason::kProviderCredentials, "HTTP 401", "correct the key"});
      co_return outcome;
    }
    ++outside_.asked[question];
    outside_.starts.push_back(loop_.Now());
    outside_.in_flight_max = std::max(outside_.in_flight_max, ++outside_.in_flight);
    outcome.totals.set_attempts(1);
    co_await loop_.Sleep(outside_.latency);
    --outside_.in_flight;
    if (outside_.fault) outcome.status = outside_.fault(question);
    if (!outcome.status.ok()) co_return outcome;
    for (const char c : question) outcome.text += static_cast<char>(std::toupper(c));
    outcome.settlement.batch.Put(key, outcome.text);
    co_return outcome;
  }

  Status CheckModel(std::string_view alias) const override {
    if (alias == "nobody" || outside_.gone.contains(std::string(alias)))
      return MakeError(Reason::kModelNotFound, fmt::format("no model `{}`", alias));
    return absl::OkStatus();
  }
  Task<std::shared_ptr<ModelLease>> Lease(std::vector<std::string>) override {
    ++outside_.leases;
    auto lease = std::make_shared<ModelLease>();
    lease->use = std::shared_ptr<void>(&outside_, [](Outside* outside) { --outside->leases; });
    co_return lease;
  }
  Task<std::shared_ptr<ModelLease>> Look(std::vector<std::string>) override {
    co_return std::make_shared<ModelLease>();
  }
  StatusOr<std::string> Identity(std::string_view alias, const ModelLease&) const override {
    MR_RETURN_IF_ERROR(CheckModel(alias));
    return (outside_.changed.contains(std::string(alias)) ? "other/" : "toy/") + std::string(alias);
  }
  Task<StatusOr<bool>> IsRemembered(CallContext, CallRequest request) override {
    auto known = co_await store_.Get("x/answer/" + request.question.messages.front().content);
    co_return known.ok() && known->has_value();
  }
  Task<StatusOr<EmbedPlan>> PlanEmbedding(std::string, CallContext) override {
    co_return MakeError(Reason::kRequestRefused, "it does not embed");
  }
  Task<std::vector<FoundText>> LookUpTexts(std::vector<Digest>, std::optional<Duration>) override {
    co_return std::vector<FoundText>();
  }
  Task<std::vector<std::string>> PendingTexts(Digest) override { co_return std::vector<std::string>(); }
  bool HasKnownCost(std::string_view) const override { return false; }
  v1::ListModelsResponse Models() const override { return {}; }
  Task<v1::ListBackendsResponse> Backends(v1::ListBackendsRequest) override { co_return v1::ListBackendsResponse(); }
  int64_t waiting() const override { return 0; }
  int64_t in_flight() const override { return outside_.in_flight; }
  FailingTarget FindFailing(std::string_view) const override { return {outside_.failing, "HTTP 401"}; }
  WaitingCall FindWaiting(const std::string&) const override { return outside_.waiting; }
  AttemptsByStage FindAttempts(std::string_view) const override { return outside_.begun; }
  void Reconsider(std::string_view alias) override { outside_.reconsidered.emplace_back(alias); }
  Task<StatusOr<v1::CacheStats>> AnswerStats() override { co_return v1::CacheStats(); }
  Task<StatusOr<int64_t>> EvictAnswers(std::optional<Duration>, std::string,
                                       std::function<bool(const std::string&)>) override {
    co_return 0;
  }
  Task<void> Drain(TimePoint) override { co_return; }

 private:
  Loop& loop_;
  Store& store_;
  Outside& outside_;
};

StageRegistry ToyKinds(Outside& outside);

class AnyFile final : public FileAccess {
 public:
  StatusOr<std::string> ForReading(std::string_view path) const override { return std::string(path); }
  StatusOr<std::string> ForWriting(std::string_view path) const override { return std::string(path); }
};

class World {
 public:
  explicit World(uint64_t seed = 1);
  ~World();

  // Kills the process and starts the next one over what the disk has.
  void Crash(bool power_loss = false);
  void Start();

  // Runs a coroutine to its end.
  template <typename T>
  T Do(Task<T> task) {
    std::optional<T> result;
    loop->Spawn(Keep(std::move(task), result));
    if (!loop->RunUntil([&] { return result.has_value(); }, clock.Now() + 24h)) ADD_FAILURE() << "it never ended";
    return std::move(*result);
  }
  // Lets time pass.
  void Pass(Duration duration);
  // Lets time pass until `done` returns true; false if it never does.
  bool Until(const std::function<bool()>& done, Duration limit = 24h) {
    return loop->RunUntil(done, clock.Now() + limit);
  }

  // Shorthands for requests. They expect success.
  v1::Run Create(v1::CreateRunRequest request);
  v1::Run Create(const v1::Pipeline& pipeline, const std::vector<std::string>& items);
  // Restarts the server, which then reads 500 bytes at a time, and creates a run of these stages (MakePipeline), whose
  // first one, `in`, fetches `count` items from the file titles.jsonl.
  v1::Run CreateFromFile(const std::vector<std::string>& stages, int count);
  v1::Run Wait(const std::string& run);
  v1::Run Get(const std::string& run);
  std::vector<v1::Item> Items(const std::string& run, const std::string& stage);
  // `id=state` of every item, by ordinal.
  std::vector<std::string> States(const std::string& run, const std::string& stage);
  std::vector<v1::RunEvent> Events(const std::string& run);
  const v1::StageProgress& Stage(const v1::Run& run, const std::string& stage);

  SimulatedClock clock;
  MemoryDisk disk;
  Outside outside;
  EngineOptions options;
  MemoryStoreOptions store_options;
  StageRegistry kinds;
  AnyFile files;
  Duration cpu_step{};  // CPU time that passes between two reads of it
  uint64_t seed;
  int boots = 0;
  trace::Tracer* tracer = nullptr;

  std::unique_ptr<Loop> loop;
  std::unique_ptr<Pool> pool;
  std::unique_ptr<MemoryStore> store;
  std::unique_ptr<ToyCalls> calls;
  std::unique_ptr<Engine> engine;

 private:
  template <typename T>
  static Task<void> Keep(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }
};

// Returns a pipeline of stages that are written `name:kind:need,need`.
v1::Pipeline MakePipeline(const std::vector<std::string>& stages);
// Returns a pipeline in which `told` asks about items that a client sends, and `out` stores the answers.
v1::Pipeline Linear();
v1::Stage& StageOf(v1::Pipeline& pipeline, const std::string& name);
// Returns items `{"id": "a0", "text": "…"}` and so on.
std::vector<std::string> MakeItems(int count, const std::string& prefix = "a");

// Returns a request that names a run.
template <typename Request>
Request Named(const std::string& run) {
  Request request;
  request.set_run(run);
  return request;
}

}  // namespace millrace
