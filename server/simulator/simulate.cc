#include "server/simulator/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "server/base/duration.h"
#include "server/config/binding.h"
#include "server/config/check.h"
#include "server/config/rules.h"
#include "server/files/files.h"
#include "server/simulator/scenario_runner.h"
#include "server/simulator/simulation_setup.h"
#include "server/stages/stage_work.h"

namespace millrace::simulator {
namespace {

// Time limit of a simulated run, in virtual time: longer than anybody would wait.
constexpr Duration kYear = std::chrono::hours(24 * 365);

// Returns the model name that the provider is sent, which tells the configuration's targets apart.
std::string TargetName(const v1::TargetConfig& target) {
  return target.model().empty() ? target.backend() : fmt::format("{}/{}", target.backend(), target.model());
}

// Returns the configuration with every backend simulated. Models that only the pipeline names are added.
v1::ServerConfig SimulatedConfigOf(const SimulateOptions& options, const v1::Pipeline& bound,
                                   const StageRegistry& stages, v1::Simulation& simulation) {
  v1::ServerConfig config = options.config;
  std::set<std::string> known;
  for (const v1::ModelConfig& model : config.models()) known.insert(model.name());
  for (const v1::Stage& stage : bound.stages()) {
    for (const std::string& name : stages.ModelsOf(stage)) {
      if (!known.insert(name).second) continue;
      simulation.add_made_up_models(name);
      v1::ModelConfig& model = *config.add_models();
      model.set_name(name);
      v1::TargetConfig& target = *model.add_targets();
      target.set_backend("made-up");
      target.set_model(name);
    }
  }
  FillDefaults(config, AbsentMessages::kMake);
  for (v1::ModelConfig& model : *config.mutable_models()) {
    // A run with faults is compared with one without them, whatever number of connections they cut.
    if (options.faults) model.set_max_extra(1000);
    for (v1::TargetConfig& target : *model.mutable_targets()) {
      target.set_model(TargetName(target));
      if (options.concurrency > 0) target.mutable_limits()->mutable_max_concurrency()->set_slots(options.concurrency);
    }
  }
  std::set<std::string> backends;
  for (const v1::ModelConfig& model : config.models()) {
    for (const v1::TargetConfig& target : model.targets()) backends.insert(target.backend());
  }
  config.clear_backends();
  for (const std::string& backend : backends) config.add_backends()->set_name(backend);
  return config;
}

ProviderProfile ProviderProfileOf(const v1::SimulatedProfile& simulated) {
  ProviderProfile profile;
  profile.latency_median = ToDuration(simulated.latency());
  profile.latency_sigma = simulated.latency_sigma();
  profile.time_per_token = ToDuration(simulated.time_per_token());
  profile.answer_bytes = simulated.answer_bytes();
  profile.rate_limited = simulated.rate_limited();
  profile.server_error = simulated.server_errors();
  profile.cut_before_answer = simulated.cut();
  profile.hangs = simulated.hangs();
  profile.no_json = simulated.malformed();
  return profile;
}

Durable DurableOf(const v1::Durability& durability) {
  if (durability.has_interval()) return Durable::kInterval;
  return durability.mode() == v1::Durability::MODE_PROCESS ? Durable::kProcess : Durable::kSync;
}

// Returns the kinds of the product. A sink is made, so that its definition is checked, but it writes nowhere.
StageRegistry ProductStages(SinkWorld& sinks) {
  StageRegistry stages = BuiltinStages();
  const StageRegistry real = stages;
  for (const auto& [name, kind] : real.kinds()) {
    if (kind.shape != StageShape::kSink) continue;
    StageKind simulated = kind;
    simulated.make = [check = kind.make,
                      make = SimulatedStoreKind(sinks).make](const StageDefinition& definition) -> StatusOr<StageWork> {
      MR_RETURN_IF_ERROR(check(definition).status());
      return make(definition);
    };
    stages.Add(std::move(simulated));
  }
  return stages;
}

std::string_view NameOf(Fault fault) {
  switch (fault) {
    case Fault::kKill:
      return "killed";
    case Fault::kPowerLoss:
      return "power lost";
    case Fault::kDiskLow:
      return "disk nearly full";
    case Fault::kDiskFull:
      return "disk full";
    case Fault::kFailedSync:
      return "fsync failed";
    case Fault::kReadError:
      return "reads failed";
    case Fault::kWallJump:
      return "wall clock jumped";
    case Fault::kPause:
      return "paused and resumed";
  }
  return "";
}

// Figures of one target from the provider's log.
class TargetLoad {
 public:
  explicit TargetLoad(const ScenarioResult& result) : result_(&result) {}

  void Add(const Received& request) { requests_.push_back(&request); }

  int64_t requests() const { return static_cast<int64_t>(requests_.size()); }
  int64_t Count(std::initializer_list<Fate> fates) const {
    return std::count_if(requests_.begin(), requests_.end(), [&fates](const Received* request) {
      return std::find(fates.begin(), fates.end(), request->fate) != fates.end();
    });
  }

  int32_t PeakInFlight() const {
    std::vector<std::pair<TimePoint, int>> changes;
    for (const Received* request : requests_) {
      changes.emplace_back(request->received, 1);
      changes.emplace_back(EndOf(*request), -1);
    }
    std::sort(changes.begin(), changes.end());  // at the same time, ends come before begins
    int32_t now = 0;
    int32_t peak = 0;
    for (const auto& [at, change] : changes) peak = std::max(peak, now += change);
    return peak;
  }

  Duration ServiceTime() const {
    Duration sum{};
    for (const Received* request : requests_) sum += EndOf(*request) - request->received;
    return sum;
  }

  Duration Bound(int32_t slots) const {
    Duration shortest = Duration::max();
    Duration longest{};
    for (const Received* request : requests_) {
      const Duration time = EndOf(*request) - request->received;
      shortest = std::min(shortest, time);
      longest = std::max(longest, time);
    }
    if (shortest == longest) return (requests() + slots - 1) / slots * longest;
    return std::max(ServiceTime() / slots, longest);
  }

 private:
  // A request in flight at a crash gave its slot back at that time.
  TimePoint EndOf(const Received& request) const {
    if (request.fate != Fate::kInFlight) return request.left;
    for (const Crash& crash : result_->crashes) {
      if (crash.incarnation == request.incarnation) return crash.at;
    }
    return std::max(result_->done, request.received);
  }

  const ScenarioResult* result_;
  std::vector<const Received*> requests_;
};

class Simulator {
 public:
  explicit Simulator(const SimulateOptions& options) : options_(options) {
    setup_.stages = ProductStages;
    setup_.options = SimulatedEngineOptions();
    const EngineOptions sizes;
    setup_.options.chunk_items = sizes.chunk_items;
    setup_.options.channel_items = sizes.channel_items;
    setup_.options.open_file = OpenFileSource;
  }

  StatusOr<v1::Simulation> Run() {
    v1::Simulation simulation;
    simulation.set_pipeline(options_.pipeline.name());
    const StageRegistry stages = BuiltinStages();
    MR_RETURN_IF_ERROR(CheckPipeline(options_.pipeline, stages));
    MR_ASSIGN_OR_RETURN(const BoundPipeline bound,
                        BindParameters(options_.pipeline, stages, options_.request.parameters()));
    config_ = SimulatedConfigOf(options_, bound.pipeline, stages, simulation);
    for (int i = 0; i < options_.seeds; ++i) {
      MR_RETURN_IF_ERROR(RunSeed(options_.first_seed + static_cast<uint64_t>(i), *simulation.add_runs()));
    }
    return simulation;
  }

 private:
  Scenario Plain(uint64_t seed) const {
    Scenario scenario;
    scenario.seed = seed;
    scenario.pipeline = options_.pipeline;
    scenario.request = options_.request;
    scenario.config = config_;
    scenario.profile = ProviderProfileOf(options_.profile);
    scenario.durable = DurableOf(config_.durability());
    scenario.read_back = options_.faults;
    scenario.time_limit = kYear;
    return scenario;
  }

  StatusOr<ScenarioResult> RunToTheEnd(const Scenario& scenario) const {
    const SimulationSetup setup{.stages = setup_.stages, .files = options_.files, .options = setup_.options};
    ScenarioResult result = RunScenario(scenario, Mutant::kNone, setup);
    if (!result.refused.ok()) return result.refused;
    if (!result.ended) {
      return MakeError(Reason::kInternal,
                       fmt::format("seed {}: the run would not end: {}", scenario.seed, result.problem));
    }
    return result;
  }

  Status RunSeed(uint64_t seed, v1::SimulatedRun& run) const {
    run.set_seed(seed);
    Scenario scenario = Plain(seed);
    if (!options_.faults) {
      MR_ASSIGN_OR_RETURN(const ScenarioResult result, RunToTheEnd(scenario));
      Report(result, run);
      return absl::OkStatus();
    }
    MR_ASSIGN_OR_RETURN(const ScenarioResult reference, RunToTheEnd(WithoutFaults(scenario)));
    Random random(seed);
    DrawProviderFaults(scenario.profile, random);
    DrawFaults(scenario, random, reference.done - reference.begin);
    scenario.run_again = true;
    MR_ASSIGN_OR_RETURN(const ScenarioResult result, RunToTheEnd(scenario));
    Report(result, run);
    for (const std::string& violation : Violations(scenario, result, reference)) run.add_violations(violation);
    return absl::OkStatus();
  }

  void Report(const ScenarioResult& result, v1::SimulatedRun& run) const {
    run.set_state(result.run.state());
    if (result.run.has_error()) *run.mutable_error() = result.run.error();
    *run.mutable_stages() = result.run.stages();
    *run.mutable_wall_time() = FromDuration(result.done - result.begin);
    for (const InjectedFault& injected : result.injected) {
      if (injected.at > result.done) continue;
      run.add_faults(fmt::format("{:.1f} s: {}", std::chrono::duration<double>(injected.at - result.begin).count(),
                                 NameOf(injected.fault)));
    }
    std::map<std::string, TargetLoad> loads;
    for (const Received& request : result.log.requests) {
      loads.try_emplace(request.model, result).first->second.Add(request);
    }
    const std::map<std::string, int32_t> slots = SlotsOf();
    Duration bound{};
    for (const auto& [name, load] : loads) {
      v1::SimulatedTarget& target = *run.add_targets();
      target.set_name(name);
      target.set_slots(slots.at(name));
      target.set_peak_in_flight(load.PeakInFlight());
      target.set_requests(load.requests());
      target.set_answered(load.Count({Fate::kAnswered}));
      target.set_rejected(load.Count({Fate::kRejected}));
      target.set_lost(load.Count({Fate::kLost, Fate::kInFlight}));
      *target.mutable_service_time() = FromDuration(load.ServiceTime());
      bound = std::max(bound, load.Bound(slots.at(name)));
    }
    *run.mutable_bound() = FromDuration(bound);
  }

  std::map<std::string, int32_t> SlotsOf() const {
    std::map<std::string, int32_t> slots;
    for (const v1::ModelConfig& model : config_.models()) {
      for (const v1::TargetConfig& target : model.targets()) {
        // `auto`: nobody knows beforehand how many the provider serves, so that only its longest answer is a bound.
        const v1::Concurrency& concurrency = target.limits().max_concurrency();
        slots[target.model()] = concurrency.has_slots() ? concurrency.slots() : std::numeric_limits<int32_t>::max();
      }
    }
    return slots;
  }

  const SimulateOptions& options_;
  SimulationSetup setup_;
  v1::ServerConfig config_;
};

}  // namespace

StatusOr<v1::Simulation> Simulate(const SimulateOptions& options) { return Simulator(options).Run(); }

}  // namespace millrace::simulator
