// Requests about the server itself: its status, backends and models, and what its caches hold.
#pragma once

#include "server/engine/engine_deps.h"
#include "server/engine/requests/admin_api.h"
#include "server/engine/run/runs.h"
#include "server/engine/work_gate.h"

namespace millrace {

// All arguments must outlive it.
class AdminRequests final : public AdminApi {
 public:
  AdminRequests(const EngineDeps& deps, const EngineOptions& options, const WorkGate& gate, Runs& runs)
      : deps_(deps), options_(options), gate_(gate), runs_(runs), start_micros_(deps.loop.clock().WallMicros()) {}

  Task<StatusOr<v1::GetStatusResponse>> GetStatus(RequestContext context, v1::GetStatusRequest request) override;
  Task<StatusOr<v1::ListBackendsResponse>> ListBackends(RequestContext context,
                                                        v1::ListBackendsRequest request) override;
  Task<StatusOr<v1::ListModelsResponse>> ListModels(RequestContext context, v1::ListModelsRequest request) override;
  Task<StatusOr<v1::GetCacheStatsResponse>> GetCacheStats(RequestContext context,
                                                          v1::GetCacheStatsRequest request) override;
  Task<StatusOr<v1::EvictCacheResponse>> EvictCache(RequestContext context, v1::EvictCacheRequest request) override;

 private:
  // Evicts memos of before `before_micros`; returns how many.
  Task<StatusOr<int64_t>> EvictMemos(int64_t before_micros);

  const EngineDeps& deps_;
  const EngineOptions& options_;
  const WorkGate& gate_;
  Runs& runs_;
  const int64_t start_micros_;  // wall clock
};

}  // namespace millrace
