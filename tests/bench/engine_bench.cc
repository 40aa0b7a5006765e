// Measures the cost of an item for the engine's thread, by step: CPU time of that thread (CLOCK_THREAD_CPUTIME_ID,
// summed by the loop over its turns) for runs over equal items with the real loop, thread pool and RocksDB store, and a
// provider that answers at once. Each run adds one step to the previous one; the difference is the step's cost.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "backends/simulated/simulated.h"
#include "server/base/pool.h"
#include "server/engine/engine.h"
#include "server/files/files.h"
#include "server/http/client.h"
#include "server/llm/calls.h"
#include "server/stages/registry.h"
#include "server/storage/rocks_store.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""ms;

constexpr int kAnswerBytes = 200;

// Part that answers the calls of a run.
enum class Answering {
  kNobody,       // none: the pipeline makes no call
  kHandler,      // a handler instead of the call layer: answers at once and has nothing to commit
  kFreeBackend,  // the call layer over a backend that is free of charge, so that attempts are not recorded
  kSimulated,    // the call layer over `simulated` without latency, with all three commits of an attempt
};

class AtOnce final : public CallHandler {
 public:
  Task<CallOutcome> Handle(CallContext, CallRequest) override {
    CallOutcome outcome;
    outcome.text = std::string(kAnswerBytes, 'x');
    outcome.totals.set_calls(1);
    co_return outcome;
  }
};

class FreeBackend final : public backend::Backend {
 public:
  const backend::Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question&, uint64_t) override {
    return std::make_unique<AnswerAtOnce>();
  }

 private:
  static backend::Action Answer() {
    backend::Done done;
    done.answer.text = std::string(kAnswerBytes, 'x');
    return done;
  }
  class AnswerAtOnce final : public backend::Exchange {
   public:
    backend::Action Next(backend::Input) override { return Answer(); }
  };

  const backend::Manifest manifest_{.kind = "free", .protocol_family = "free", .free_of_charge = true};
};

class NoHttp final : public HttpClient {
 public:
  Task<HttpResult> Send(HttpRequest, HttpLimits, HttpSink&) override { co_return HttpResult(); }
};

v1::Pipeline MakePipeline(Answering answering) {
  v1::Pipeline pipeline;
  pipeline.set_name("items");
  v1::Stage& items = *pipeline.add_stages();
  items.set_name("items");
  items.mutable_fetch()->mutable_csv()->set_path("items.csv");
  items.mutable_fetch()->mutable_csv()->set_id_column("id");
  if (answering == Answering::kNobody) return pipeline;
  v1::Stage& answered = *pipeline.add_stages();
  answered.set_name("answered");
  answered.add_needs("items");
  answered.set_concurrency(1000);
  answered.mutable_synthesize()->set_model("writer");
  answered.mutable_synthesize()->set_prompt("Say something about item {{id}}: {{text}}");
  answered.mutable_synthesize()->set_output_field("answer");
  return pipeline;
}

// A server without its API, with a new data directory.
class Bench {
 public:
  Bench(const fs::path& directory, Answering answering)
      : answering_(answering),
        directory_(directory),
        loop_(clock_),
        pool_(MakeThreadPool(loop_, 2)),
        files_({directory.string()}, {}),
        stages_(BuiltinStages()) {
    RocksOptions options;
    options.path = (directory / "data").string();
    options.durability = {.mode = Durability::Mode::kInterval, .interval = 50ms};
    options.disk_reserve = 0;
    store_ = Value(OpenRocksStore(options, loop_, *pool_));
    calls_ = MakeTheCalls();
    EngineOptions engine_options;
    engine_options.open_file = OpenFileSource;
    CallHandler& handler = answering == Answering::kHandler ? static_cast<CallHandler&>(at_once_) : *calls_;
    engine_ = std::make_unique<Engine>(EngineDeps{.loop = loop_,
                                                  .pool = *pool_,
                                                  .store = *store_,
                                                  .calls = handler,
                                                  .models = *calls_,
                                                  .answers = *calls_,
                                                  .traffic = *calls_,
                                                  .stages = stages_,
                                                  .files = files_},
                                       Random(1), std::move(engine_options));
    thread_ = std::thread([this] { loop_.Run(); });
  }

  ~Bench() {
    loop_.Stop();
    thread_.join();
    loop_.Abandon();
  }

  // Returns the CPU time of the engine's thread for one run.
  Duration Run(int items) {
    std::promise<StatusOr<v1::Run>> promise;
    std::future<StatusOr<v1::Run>> future = promise.get_future();
    Duration before{};
    Duration after{};
    loop_.Post([&] {
      before = loop_.Figures().cpu;
      loop_.Spawn(RunOnce(promise));
    });
    const v1::Run run = Value(future.get());
    std::promise<void> read;
    loop_.Post([&] {
      after = loop_.Figures().cpu;
      read.set_value();
    });
    read.get_future().get();
    const v1::StageProgress& last = run.stages(run.stages_size() - 1);
    if (run.state() != v1::RUN_STATE_SUCCEEDED || last.ok() != items) throw std::runtime_error(run.ShortDebugString());
    return after - before;
  }

 private:
  template <typename T>
  static T Value(StatusOr<T> result) {
    if (!result.ok()) throw std::runtime_error(result.status().ToString());
    return *std::move(result);
  }

  std::unique_ptr<Calls> MakeTheCalls() {
    auto entry = std::make_unique<BackendEntry>();
    entry->name = "provider";
    if (answering_ == Answering::kSimulated) {
      v1::SimulatedProfile profile;
      profile.set_answer_bytes(kAnswerBytes);
      entry->backend = backend::MakeSimulated(profile, 1);
    } else {
      entry->backend = std::make_unique<FreeBackend>();
    }
    std::vector<std::unique_ptr<BackendEntry>> backends;
    backends.push_back(std::move(entry));
    v1::ServerConfig config;
    v1::ModelConfig& model = *config.add_models();
    model.set_name("writer");
    model.add_targets()->set_backend("provider");
    model.mutable_targets(0)->set_model("m");
    model.mutable_targets(0)->mutable_limits()->mutable_max_concurrency()->set_slots(100);
    return Value(MakeCalls({.loop = loop_, .pool = *pool_, .store = *store_, .http = http_}, Random(2),
                           std::move(backends), config));
  }

  Task<void> RunOnce(std::promise<StatusOr<v1::Run>>& promise) {
    v1::CreateRunRequest create;
    *create.mutable_definition() = MakePipeline(answering_);
    create.mutable_wait()->set_seconds(3600);
    StatusOr<v1::CreateRunResponse> created = co_await engine_->runs().CreateRun({}, std::move(create));
    if (created.ok()) {
      promise.set_value(std::move(*created->mutable_run()));
    } else {
      promise.set_value(created.status());
    }
  }

  const Answering answering_;
  const fs::path directory_;
  SystemClock clock_;
  Loop loop_;
  std::unique_ptr<Pool> pool_;
  FileRoots files_;
  StageRegistry stages_;
  NoHttp http_;
  AtOnce at_once_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<Engine> engine_;
  std::thread thread_;
};

// A new directory with a file of the items, removed by the destructor.
class Directory {
 public:
  explicit Directory(int items) {
    std::string name = fs::temp_directory_path() / "millrace-engine-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory can be made");
    path_ = name;
    std::ofstream csv(path_ / "items.csv");
    csv << "id,text\n";
    for (int i = 0; i < items; ++i) csv << fmt::format("item-{:07},the quick brown fox number {} jumps\n", i, i);
  }
  ~Directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

double Micros(Duration cpu, int items) { return static_cast<double>(cpu.count()) / 1e3 / items; }

void Say(const std::string& figure, double micros, const std::string& bound) {
  std::cout << fmt::format("  {:<78} {:>13.1f} us   {}\n", figure, micros, bound) << std::flush;
}

int Main(int items) {
  const auto cost = [items](Answering answering) {
    const Directory directory(items);
    return Micros(Bench(directory.path(), answering).Run(items), items);
  };
  std::cout << fmt::format(
      "  {} items, RocksDB with durability {{interval: 50ms}}, answers of {} bytes, 100 at once; CPU of the engine's "
      "thread "
      "an item\n",
      items, kAnswerBytes);
  const double fetch = cost(Answering::kNobody);
  Say("fetch: commit the row, hand it on", fetch, "beside");
  const double stage = cost(Answering::kHandler);
  Say("synthesize without the call: look up, render, commit the result", stage - fetch, "");
  const double call = cost(Answering::kFreeBackend);
  Say("the call: key, look-up, queue, bind, exchange, checks, settlement", call - stage, "");

  const Directory directory(items);
  Bench bench(directory.path(), Answering::kSimulated);
  const double all = Micros(bench.Run(items), items);
  Say("the attempt: `simulated`, the records of its start and its answer", all - call, "");
  Say("through the synthesize stage, in all", all - fetch, "<= 120 us");
  const double again = Micros(bench.Run(items), items);
  Say("the same again, remembered: fetch, look up, commit", again, "beside");
  return all - fetch <= 120 ? 0 : 1;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  int items = 50'000;
  CLI::App app("CPU time of the engine's thread an item, by step.");
  app.add_option("--items", items, "Items")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return millrace::Main(items);
  } catch (const std::exception& error) {
    std::cerr << "engine_bench: " << error.what() << "\n";
    return 2;
  }
}
