// Measures by how much calls take longer than necessary, in simulated time: the engine, the call layer and a provider
// that answers each call after a constant time. Real threads, disks and sockets cost nothing here, so time above the
// bound is the fault of the schedule: slots were empty while calls waited.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "server/base/pool.h"
#include "server/simulator/provider.h"
#include "server/simulator/simulation_setup.h"
#include "server/storage/memory_store.h"

namespace millrace::simulator {
namespace {

using std::chrono_literals::operator""ms;

struct Options {
  int items = 20000;
  int hold_ms = 50;
  int slots = 100;
};

v1::Pipeline CallsPipeline() {
  v1::Pipeline pipeline;
  pipeline.set_name("calls");
  v1::Stage& items = *pipeline.add_stages();
  items.set_name("items");
  items.mutable_fetch()->mutable_inline_();
  v1::Stage& answered = *pipeline.add_stages();
  answered.set_name("answered");
  answered.add_needs("items");
  answered.set_concurrency(1000);
  answered.mutable_synthesize()->set_model("writer");
  answered.mutable_synthesize()->set_prompt("Say something about [[{{text}}]].");
  answered.mutable_synthesize()->set_output_field("answer");
  v1::Stage& saved = *pipeline.add_stages();
  saved.set_name("saved");
  saved.add_needs("answered");
  saved.mutable_store()->mutable_jsonl()->set_path("out.jsonl");
  return pipeline;
}

EngineOptions ServersOptions() {
  EngineOptions options = SimulatedEngineOptions();
  const EngineOptions defaults;
  options.chunk_items = defaults.chunk_items;
  options.channel_items = defaults.channel_items;
  return options;
}

class World {
 public:
  World(const Options& options, Durability durability)
      : options_(options),
        loop_(clock_),
        pool_(MakeInlinePool(loop_, std::chrono::microseconds(50))),
        store_(loop_, disk_, {.durability = durability}),
        provider_(loop_, log_, {.latency_median = std::chrono::milliseconds(options.hold_ms), .latency_sigma = 0},
                  Random(1), 0),
        calls_(MakeSimulatedCalls(loop_, *pool_, store_, provider_, Random(2), WriterConfig(options.slots))),
        stages_(SimulatedStages(sinks_)),
        engine_({.loop = loop_,
                 .pool = *pool_,
                 .store = store_,
                 .calls = calls_->handler(),
                 .models = calls_->models(),
                 .answers = calls_->answers(),
                 .traffic = calls_->traffic(),
                 .stages = stages_,
                 .files = NoFiles()},
                Random(3), ServersOptions()) {}
  ~World() { loop_.Abandon(); }

  // Returns the time from the first request received to the last answer sent, divided by the bound; 0 if the run did
  // not succeed.
  double Ratio() {
    loop_.Spawn(Run());
    loop_.RunUntil([this] { return over_; });
    if (!succeeded_) return 0;
    Duration held{};
    TimePoint last{};
    for (const Received& request : log_.requests) {
      held += request.left - request.received;
      last = std::max(last, request.left);
    }
    return static_cast<double>((last - log_.requests.front().received).count()) * options_.slots /
           static_cast<double>(held.count());
  }

 private:
  Task<void> Run() {
    v1::CreateRunRequest create;
    *create.mutable_definition() = CallsPipeline();
    const auto created = co_await engine_.runs().CreateRun({}, std::move(create));
    if (!created.ok()) co_return Stop(created.status());
    const std::string run = created->run().name();
    while (sent_ < options_.items) {
      v1::AddItemsRequest add = NextItems();
      add.set_run(run);
      const auto added = co_await engine_.runs().AddItems({}, std::move(add));
      if (!added.ok()) co_return Stop(added.status());
    }
    v1::CloseInputRequest close;
    close.set_run(run);
    const auto closed = co_await engine_.runs().CloseInput({}, std::move(close));
    if (!closed.ok()) co_return Stop(closed.status());
    v1::WaitRunRequest wait;
    wait.set_run(run);
    const auto waited = co_await engine_.runs().WaitRun({}, std::move(wait));
    if (!waited.ok()) co_return Stop(waited.status());
    succeeded_ =
        waited->run().state() == v1::RUN_STATE_SUCCEEDED && log_.requests.size() == static_cast<size_t>(options_.items);
    over_ = true;
  }

  v1::AddItemsRequest NextItems() {
    constexpr int kPart = 5000;
    v1::AddItemsRequest add;
    add.set_offset(sent_);
    for (const int end = std::min(sent_ + kPart, options_.items); sent_ < end; ++sent_) {
      v1::InputItem& item = *add.mutable_items()->add_items();
      item.set_id(fmt::format("item-{:06}", sent_));
      item.set_json(fmt::format(R"({{"text":"the quick brown fox number {} jumps"}})", sent_));
    }
    return add;
  }

  void Stop(const Status& status) {
    std::cerr << status.ToString() << "\n";
    over_ = true;
  }

  const Options options_;
  SimulatedClock clock_;
  Loop loop_;
  std::unique_ptr<Pool> pool_;
  MemoryDisk disk_;
  MemoryStore store_;
  ProviderLog log_;
  SimulatedProvider provider_;
  std::unique_ptr<SimulatedCalls> calls_;
  SinkWorld sinks_;
  StageRegistry stages_;
  Engine engine_;
  int sent_ = 0;
  bool over_ = false;
  bool succeeded_ = false;
};

int Main(const Options& options) {
  const std::string what =
      fmt::format("{} calls of {} ms, {} at once, in virtual time", options.items, options.hold_ms, options.slots);
  const double interval = World(options, {.mode = Durability::Mode::kInterval, .interval = 50ms}).Ratio();
  const double sync = World(options, {.mode = Durability::Mode::kSync}).Ratio();
  const auto say = [](const std::string& figure, double value, const std::string& bound) {
    std::cout << fmt::format("  {:<78} {:>16.4f}   {}\n", figure, value, bound);
  };
  say(what + ": wall / bound", interval, "<= 1.01");
  say("with sync, a sync of 2 ms (a slot is held while its start is stored)", sync, "beside");
  return interval > 0 && interval <= 1.01 && sync > 0 ? 0 : 1;
}

}  // namespace
}  // namespace millrace::simulator

int main(int argc, char** argv) {
  millrace::simulator::Options options;
  CLI::App app("Wall over bound of calls in virtual time.");
  app.add_option("--items", options.items, "Items, each a call of its own")->capture_default_str();
  app.add_option("--hold-ms", options.hold_ms, "How long the provider holds a call")->capture_default_str();
  app.add_option("--slots", options.slots, "Calls at once")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return millrace::simulator::Main(options);
}
