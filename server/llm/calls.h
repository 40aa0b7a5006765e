// The front of the call layer: joins equal calls, gives each caller its outcome, and keeps what all calls share. Made
// once, of the configuration's backends and models. Engine thread only.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/http/client.h"
#include "server/llm/answer_memory.h"
#include "server/llm/attempt.h"
#include "server/llm/backend_report.h"
#include "server/llm/cache.h"
#include "server/llm/call.h"
#include "server/llm/call_in_flight.h"
#include "server/llm/call_traffic.h"
#include "server/llm/host.h"
#include "server/llm/live_attempts.h"
#include "server/llm/model_directory.h"
#include "server/llm/models.h"
#include "server/llm/prober.h"
#include "server/llm/queue.h"
#include "server/llm/revisions.h"
#include "server/llm/schema_cache.h"
#include "server/llm/traced_sender.h"
#include "server/llm/upkeeper.h"
#include "server/storage/ledger.h"
#include "server/storage/store.h"

namespace millrace {

// All of it outlives the calls and the loop's coroutines.
struct CallDeps {
  Loop& loop;
  Pool& pool;
  Store& store;
  HttpClient& http;
  Pool* slow_pool = nullptr;  // for work whose cost is not known to be small; null: `pool`

  Pool& slow() const { return slow_pool != nullptr ? *slow_pool : pool; }
};

class Calls final : public CallHandler, public ModelDirectory, public AnswerMemory, public CallTraffic {
 public:
  Calls(CallDeps deps, Random random, std::vector<std::unique_ptr<BackendEntry>> backends, HostLimits limits);
  // REQUIRES: the loop has been abandoned, or has no coroutine of this left.
  ~Calls() override;

  Status AddAlias(const v1::ModelConfig& config) { return models_.AddAlias(config); }

  // Until the caller has committed the outcome's settlement, a crash finds the answer by its raw bytes, which were
  // stored before they were parsed.
  Task<CallOutcome> Handle(CallContext context, CallRequest request) override;

  Status CheckModel(std::string_view alias) const override;
  Task<std::shared_ptr<ModelLease>> Lease(std::vector<std::string> aliases) override;
  Task<std::shared_ptr<ModelLease>> Look(std::vector<std::string> aliases) override;
  StatusOr<std::string> Identity(std::string_view alias, const ModelLease& lease) const override;
  Task<StatusOr<EmbedPlan>> PlanEmbedding(std::string alias, CallContext context) override;
  Task<std::vector<FoundText>> LookUpTexts(std::vector<Digest> keys, std::optional<Duration> ttl) override {
    return cache_.LookUpTexts(std::move(keys), ttl);
  }
  Task<std::vector<std::string>> PendingTexts(Digest batch_key) override { return cache_.PendingTexts(batch_key); }
  Task<StatusOr<bool>> IsRemembered(CallContext context, CallRequest request) override;
  bool HasKnownCost(std::string_view alias) const override { return models_.HasKnownCost(alias); }
  v1::ListModelsResponse Models() const override { return models_.ListModels(); }
  Task<v1::ListBackendsResponse> Backends(v1::ListBackendsRequest request) override {
    return ReportBackends(deps_.loop, models_, prober_, std::move(request));
  }
  int64_t waiting() const override { return queue_.waiting(); }
  int64_t in_flight() const override;
  FailingTarget FindFailing(std::string_view run) const override;
  WaitingCall FindWaiting(const std::string& run) const override;
  void Reconsider(std::string_view alias) override;
  AttemptsByStage FindAttempts(std::string_view run) const override;
  Task<StatusOr<v1::CacheStats>> AnswerStats() override;
  Task<StatusOr<int64_t>> EvictAnswers(std::optional<Duration> older_than, std::string target,
                                       std::function<bool(const std::string& run)> in_use) override;
  Task<void> Drain(TimePoint deadline) override;
  Unfinished FindUnfinished() const override;

 private:
  // A call that waits until the identities of its models are known. Lives as long as it waits.
  class Unidentified;

  // Returns the identities of the alias's models: those of the lease, or the present ones. Waits for a probe, if none
  // is new enough, and for a pull. Null: the caller was stopped, or its deadline has passed.
  Task<std::shared_ptr<const Identities>> Identify(const Alias& alias, CallContext context);
  // Pulls the models of the alias that are missing, if that is allowed. Returns true if the identities must wait for
  // it.
  bool PullMissing(const Alias& alias);
  Task<void> Run(std::shared_ptr<CallInFlight> call);
  Task<CallOutcome> OutcomeOf(std::shared_ptr<CallInFlight> call, bool is_payer, const CallContext& context);
  CallOutcome GiveUp(CallInFlight& call, bool was_last, const CallContext& context);
  Status DeadlinePassed(const CallInFlight& call) const;
  static bool IsStopped(const CallContext& context) { return context.stop && context.stop->stopped(); }
  // Returns the outcome of a call without identities.
  CallOutcome NotIdentified(const Alias& alias, const CallContext& context) const;
  Status WhyNotIdentified(const Alias& alias) const;
  // Returns the targets that a human must repair before the call can be identified.
  std::vector<Blockage> FindBlockages(const Alias& alias, const CallContext& context) const;
  FailingTarget FindUnidentified(std::string_view run) const;

  CallDeps deps_;
  Random random_;
  AttemptNames names_;
  millrace::Models models_;
  Host host_;
  Host errand_host_;
  TracedSender sender_;
  Prober prober_;
  Cache cache_;
  Queue queue_;
  Revisions revisions_;
  Upkeeper upkeeper_;
  std::list<const Unidentified*> unidentified_;
  SchemaCache schemas_;
  SettledNumbers numbers_;
  KeyClaims claims_;
  CallTable table_;
  SettlingAttempts settling_;
  Event ended_;  // a call has ended
};

// Returns calls over the configuration's models. INVALID_ARGUMENT (INVALID_DEFINITION).
StatusOr<std::unique_ptr<Calls>> MakeCalls(CallDeps deps, Random random,
                                           std::vector<std::unique_ptr<BackendEntry>> backends,
                                           const v1::ServerConfig& config);

}  // namespace millrace
