#include "server/simulator/simulation_setup.h"

#include <fmt/format.h>

#include <vector>

#include "backends/openai/openai.h"
#include "server/llm/calls.h"
#include "server/simulator/parking_stage.h"
#include "server/stages/cluster/cluster.h"
#include "server/stages/fetch/fetch.h"
#include "server/stages/prepare/prepare.h"
#include "server/stages/synthesize/synthesize.h"

namespace millrace::simulator {
namespace {

class RealCalls final : public SimulatedCalls {
 public:
  explicit RealCalls(std::unique_ptr<Calls> calls) : calls_(std::move(calls)) {}
  CallHandler& handler() override { return *calls_; }
  ModelDirectory& models() override { return *calls_; }
  AnswerMemory& answers() override { return *calls_; }
  CallTraffic& traffic() override { return *calls_; }

 private:
  std::unique_ptr<Calls> calls_;
};

class RefusedFiles final : public FileAccess {
 public:
  StatusOr<std::string> ForReading(std::string_view path) const override { return Refuse(path); }
  // Allowed: the simulated sink writes no file.
  StatusOr<std::string> ForWriting(std::string_view path) const override { return std::string(path); }

 private:
  static Status Refuse(std::string_view path) {
    return MakeError(Reason::kFileNotAllowed, fmt::format("the simulation has no file {}", Excerpt(path)));
  }
};

}  // namespace

v1::ServerConfig WriterConfig(int concurrency) {
  v1::ServerConfig config;
  config.add_backends()->set_name("provider");
  v1::ModelConfig* model = config.add_models();
  model->set_name("writer");
  v1::TargetConfig* target = model->add_targets();
  target->set_backend("provider");
  target->set_model("m");
  target->mutable_limits()->mutable_max_concurrency()->set_slots(concurrency);
  // A run with faults must end as the one without them, whatever number of connections they cut.
  model->set_max_extra(1000);
  model->mutable_retry()->set_max_attempts(3);
  model->mutable_retry()->mutable_initial_backoff()->set_nanos(100'000'000);
  model->mutable_retry()->mutable_max_backoff()->set_seconds(5);
  model->mutable_timeout()->mutable_connect()->set_seconds(5);
  model->mutable_timeout()->mutable_first_byte()->set_seconds(10);
  model->mutable_timeout()->mutable_idle()->set_seconds(10);
  model->mutable_timeout()->mutable_total()->set_seconds(30);
  return config;
}

std::unique_ptr<SimulatedCalls> MakeSimulatedCalls(Loop& loop, Pool& pool, Store& store, HttpClient& http,
                                                   Random random, const v1::ServerConfig& config) {
  v1::OpenaiBackend openai;
  openai.set_base_url("http://127.0.0.1:1/v1");
  openai.set_max_tokens_member("max_completion_tokens");
  openai.set_schema_format("json_schema");
  std::vector<std::unique_ptr<BackendEntry>> backends;
  for (const v1::BackendConfig& backend : config.backends()) {
    auto entry = std::make_unique<BackendEntry>();
    entry->name = backend.name();
    entry->backend = backend::MakeOpenaiBackend(openai);
    backends.push_back(std::move(entry));
  }
  StatusOr<std::unique_ptr<Calls>> calls =
      MakeCalls({.loop = loop, .pool = pool, .store = store, .http = http}, random, std::move(backends), config);
  return std::make_unique<RealCalls>(std::move(calls).value());
}

StageRegistry SimulatedStages(SinkWorld& sinks) {
  StageRegistry stages;
  stages.Add(FetchKind());
  stages.Add(PrepareKind());
  stages.Add(WithParking(SynthesizeKind()));
  stages.Add(ClusterKind());
  stages.Add(SimulatedStoreKind(sinks));
  return stages;
}

const FileAccess& NoFiles() {
  static const RefusedFiles files;
  return files;
}

EngineOptions SimulatedEngineOptions() {
  EngineOptions options;
  options.version = "simulated";
  options.data_dir = "simulated";
  options.chunk_items = 16;  // so that small runs have many chunks
  options.channel_items = 32;
  return options;
}

}  // namespace millrace::simulator
