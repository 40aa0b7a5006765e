// The front of the call layer: answers calls, keeps what all of them share, and says how busy it is. Made once, of the
// configuration's backends and models. Engine thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/http/client.h"
#include "server/llm/attempt.h"
#include "server/llm/cache.h"
#include "server/llm/call.h"
#include "server/llm/coalesce.h"
#include "server/llm/host.h"
#include "server/llm/life.h"
#include "server/llm/model_directory.h"
#include "server/llm/queue.h"
#include "server/llm/target.h"
#include "server/storage/store.h"

namespace millrace {

// What calls are made of. All of it outlives them and the loop's coroutines.
struct CallsParts {
  Loop& loop;
  Pool& pool;
  Store& store;
  HttpClient& http;
};

class Calls final : public CallHandler, public CallDesk {
 public:
  Calls(CallsParts parts, Random random, std::vector<std::unique_ptr<BackendEntry>> backends, HostLimits limits);
  // Its loop must have been abandoned, or no coroutine of it be left.
  ~Calls() override;

  // Adds an alias. INVALID_ARGUMENT (INVALID_DEFINITION) where it names an unknown backend, stands there already, or
  // gives another limit for a target than an alias before it.
  Status AddAlias(const v1::ModelConfig& config);

  // Resumes with the answer, the failure, or `stopped`. A caller that was told `OK` or a failure commits the outcome's
  // settlement with its own effects; until then a crash finds the answer by what was stored at moment (b).
  Task<CallOutcome> Handle(CallContext context, CallRequest request) override;

  StatusOr<std::string> Identity(std::string_view alias) const override;
  Task<StatusOr<bool>> IsRemembered(CallContext context, CallRequest request) override;
  bool HasKnownCost(std::string_view alias) const override;
  v1::ListModelsResponse Models() const override;
  v1::ListBackendsResponse Backends() const override;
  int64_t waiting() const override { return queue_.waiting(); }
  int64_t in_flight() const override;
  FailingTarget FindFailing(std::string_view run) const override;
  Task<StatusOr<v1::CacheStats>> AnswerStats() override;
  Task<StatusOr<int64_t>> EvictAnswers(std::optional<Duration> older_than, std::string target,
                                       std::function<bool(const std::string& run)> in_use) override;
  Task<void> Drain(TimePoint deadline) override;

 private:
  Task<void> Run(std::shared_ptr<CallInFlight> call);
  Task<void> KeepUnclaimed(CallInFlight& call);
  Task<CallOutcome> Outcome(std::shared_ptr<CallInFlight> call, bool is_payer, const CallContext& context);
  Task<CallOutcome> GiveUp(std::shared_ptr<CallInFlight> call, bool was_last, const CallContext& context);
  Status DeadlinePassed(const CallInFlight& call) const;
  const Alias* FindAlias(std::string_view name) const;

  CallsParts parts_;
  Random random_;
  AttemptNames names_;
  std::vector<std::unique_ptr<BackendEntry>> backends_;  // by name
  std::vector<std::unique_ptr<Target>> targets_;         // as first named
  std::map<std::string, Alias, std::less<>> aliases_;
  Host host_;
  Cache cache_;
  Queue queue_;
  KeyClaims claims_;
  CallTable table_;
  Event ended_;  // a call has ended
};

// Calls over the configuration's models. INVALID_ARGUMENT (INVALID_DEFINITION).
StatusOr<std::unique_ptr<Calls>> MakeCalls(CallsParts parts, Random random,
                                           std::vector<std::unique_ptr<BackendEntry>> backends,
                                           const v1::ServerConfig& config);

}  // namespace millrace
