// The engine: runs of pipelines over items, on one thread, out of injected parts. It knows a stage by stage.h, a call
// by call.h, and everything else by a store, a clock and a random source: the same engine runs in the simulator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/config/binding.h"
#include "server/engine/calls.h"
#include "server/engine/service.h"
#include "server/llm/call.h"
#include "server/stages/stage.h"
#include "server/storage/store.h"

namespace millrace {

// What the engine is made of. All of it outlives the engine and its loop's coroutines.
struct EngineParts {
  Loop& loop;
  Pool& pool;
  Store& store;
  CallHandler& calls;
  CallDesk& desk;
  const StageRegistry& stages;
  const FileAccess& files;
  // CPU time of the calling thread so far. Empty (the simulator's time is virtual): what computing takes is not
  // counted.
  std::function<Duration()> cpu_time = nullptr;
};

struct EngineOptions {
  // For GetStatus.
  std::string version;
  int64_t pid = 0;
  std::string data_dir;             // its last part
  std::string durability = "sync";  // `sync`, `interval 50ms` or `process`

  // Runs that have not ended go on when the engine starts; otherwise when they are followed or resumed.
  bool starts_runs = true;
  int64_t active_runs_max = 1000;    // runs that have not ended; more are refused with TOO_MANY
  size_t item_bytes_max = 4u << 20;  // of JSON; an item with more fails
  size_t chunk_items = 256;          // items that are digested, computed and committed together
  size_t channel_items = 2048;       // items that wait between two stages
  size_t channel_bytes = 8u << 20;   // their bytes
  // Bytes of a source that are parsed, and their rows committed, together: the writer takes no other commit meanwhile.
  size_t read_bytes = 16u << 10;
  Duration progress_interval = std::chrono::milliseconds(500);  // between two Progress events of a run

  // Checks a definition as a whole (server/config). INVALID_ARGUMENT (INVALID_DEFINITION). Empty: no check.
  std::function<Status(const v1::Pipeline&, const StageRegistry&)> check_pipeline;
  // Puts parameters into a definition (server/config). INVALID_ARGUMENT (INVALID_FIELD). Empty: as it is.
  std::function<StatusOr<BoundPipeline>(const v1::Pipeline&, const ParameterValues&,
                                        const std::set<std::string>& client_inputs)>
      bind_parameters;
  // Opens a file that FileAccess allowed. Empty: fetches of files fail.
  std::function<StatusOr<std::unique_ptr<ByteSource>>(Loop&, Pool&, const std::string& path)> open_file;
};

class ActiveRun;

class Engine final : public Service {
 public:
  Engine(EngineParts parts, Random random, EngineOptions options);
  // Its loop must have been abandoned, or no coroutine of it be left.
  ~Engine() override;

  // Loads the runs that have not ended and goes on with those that ran. Call it once, before anything else; cheap: what
  // depends on the number of items happens afterwards, in the background.
  Task<Status> Recover();

  Task<StatusOr<v1::ApplyPipelineResponse>> ApplyPipeline(v1::ApplyPipelineRequest request) override;
  Task<StatusOr<v1::GetPipelineResponse>> GetPipeline(v1::GetPipelineRequest request) override;
  Task<StatusOr<v1::ListPipelinesResponse>> ListPipelines(v1::ListPipelinesRequest request) override;
  Task<StatusOr<v1::DeletePipelineResponse>> DeletePipeline(v1::DeletePipelineRequest request) override;
  Task<StatusOr<v1::PlanPipelineResponse>> PlanPipeline(v1::PlanPipelineRequest request) override;

  Task<StatusOr<v1::CreateRunResponse>> CreateRun(v1::CreateRunRequest request, TimePoint deadline) override;
  Task<StatusOr<v1::GetRunResponse>> GetRun(v1::GetRunRequest request) override;
  Task<StatusOr<v1::ListRunsResponse>> ListRuns(v1::ListRunsRequest request) override;
  Task<StatusOr<v1::WaitRunResponse>> WaitRun(v1::WaitRunRequest request, TimePoint deadline) override;
  Task<StatusOr<v1::PauseRunResponse>> PauseRun(v1::PauseRunRequest request) override;
  Task<StatusOr<v1::ResumeRunResponse>> ResumeRun(v1::ResumeRunRequest request) override;
  Task<StatusOr<v1::RedriveRunResponse>> RedriveRun(v1::RedriveRunRequest request) override;
  Task<StatusOr<v1::CancelRunResponse>> CancelRun(v1::CancelRunRequest request) override;
  Task<StatusOr<v1::DeleteRunResponse>> DeleteRun(v1::DeleteRunRequest request) override;
  Task<StatusOr<v1::ListItemsResponse>> ListItems(v1::ListItemsRequest request) override;
  Task<StatusOr<v1::AddItemsResponse>> AddItems(v1::AddItemsRequest request) override;
  Task<StatusOr<v1::CloseInputResponse>> CloseInput(v1::CloseInputRequest request) override;
  Task<StatusOr<v1::ExplainItemResponse>> ExplainItem(v1::ExplainItemRequest request) override;
  Task<StatusOr<v1::ListAttemptsResponse>> ListAttempts(v1::ListAttemptsRequest request) override;
  Task<StatusOr<EventPage>> NextEvents(v1::WatchRunRequest request, TimePoint deadline) override;
  Task<StatusOr<ItemPage>> NextItems(v1::StreamItemsRequest request, TimePoint deadline) override;

  Task<StatusOr<v1::GenerateResponse>> Generate(v1::GenerateRequest request, TimePoint deadline,
                                                std::shared_ptr<StopSignal> left) override;

  Task<StatusOr<v1::GetStatusResponse>> GetStatus(v1::GetStatusRequest request) override;
  Task<StatusOr<v1::ListBackendsResponse>> ListBackends(v1::ListBackendsRequest request) override;
  Task<StatusOr<v1::ListModelsResponse>> ListModels(v1::ListModelsRequest request) override;
  Task<StatusOr<v1::GetCacheStatsResponse>> GetCacheStats(v1::GetCacheStatsRequest request) override;
  Task<StatusOr<v1::EvictCacheResponse>> EvictCache(v1::EvictCacheRequest request) override;

  Task<void> Drain(TimePoint deadline) override;

  struct State;  // engine_state.h

 private:
  // Creates a run out of a checked request. A run without a name: it was only checked.
  static Task<StatusOr<v1::Run>> Create(State& state, v1::CreateRunRequest request, Digest digest);
  // Brings a run into another state; nothing is done where it has ended in `done_in`.
  Task<StatusOr<v1::Run>> Change(std::string name, Task<Status> (ActiveRun::*change)(), v1::RunState done_in);

  std::unique_ptr<State> state_;
};

}  // namespace millrace
