#include "server/simulator/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "server/base/duration.h"
#include "server/config/binding.h"
#include "server/config/check.h"
#include "server/config/rules.h"
#include "server/files/files.h"
#include "server/simulator/parts.h"
#include "server/simulator/scenario_runner.h"

namespace millrace::simulator {
namespace {

// Longer than any run that somebody waits for.
constexpr Duration kYear = std::chrono::hours(24 * 365);

// Targets by the name that the provider knows them by, which says which target of the configuration was meant.
std::string TargetName(const v1::TargetConfig& target) {
  return target.model().empty() ? target.backend() : fmt::format("{}/{}", target.backend(), target.model());
}

// The configuration with every backend played, and models of the pipeline that it lacks made up.
v1::ServerConfig CastOf(const SimulateOptions& options, const v1::Pipeline& bound, v1::Simulation& simulation) {
  v1::ServerConfig config = options.config;
  std::set<std::string> known;
  for (const v1::ModelConfig& model : config.models()) known.insert(model.name());
  for (const v1::Stage& stage : bound.stages()) {
    const std::string& name = stage.synthesize().model();
    if (!stage.has_synthesize() || !known.insert(name).second) continue;
    simulation.add_made_up_models(name);
    v1::ModelConfig& model = *config.add_models();
    model.set_name(name);
    v1::TargetConfig& target = *model.add_targets();
    target.set_backend("made-up");
    target.set_model(name);
  }
  FillDefaults(config, AbsentMessages::kMake);
  for (v1::ModelConfig& model : *config.mutable_models()) {
    for (v1::TargetConfig& target : *model.mutable_targets()) {
      target.set_model(TargetName(target));
      if (options.concurrency > 0) target.mutable_limits()->set_max_concurrency(options.concurrency);
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

ProviderHabits HabitsOf(const v1::SimulatedProfile& profile) {
  ProviderHabits habits;
  habits.latency_median = ToDuration(profile.latency());
  habits.latency_sigma = profile.latency_sigma();
  habits.time_per_token = ToDuration(profile.time_per_token());
  habits.answer_bytes = profile.answer_bytes();
  habits.rate_limited = profile.rate_limited();
  habits.server_error = profile.server_errors();
  habits.cut_before_answer = profile.cut();
  habits.hangs = profile.hangs();
  habits.no_json = profile.malformed();
  return habits;
}

Durable DurableOf(const v1::Durability& durability) {
  if (durability.has_interval()) return Durable::kInterval;
  return durability.mode() == v1::Durability::MODE_PROCESS ? Durable::kProcess : Durable::kSync;
}

// The kinds of the product. The store is checked as it would be, and writes nowhere.
StageRegistry PlayedStages(SinkWorld& sinks) {
  StageRegistry stages = BuiltinStages();
  StageKind played = SimulatedStoreKind(sinks);
  played.make = [real = stages.Find("store")->make,
                 make = std::move(played.make)](const StageDefinition& definition) -> StatusOr<StageWork> {
    const StatusOr<StageWork> checked = real(definition);
    if (!checked.ok()) return checked.status();
    return make(definition);
  };
  stages.Add(std::move(played));
  return stages;
}

std::string_view NameOf(Blow blow) {
  switch (blow) {
    case Blow::kKill:
      return "killed";
    case Blow::kPowerLoss:
      return "power lost";
    case Blow::kDiskLow:
      return "disk nearly full";
    case Blow::kDiskFull:
      return "disk full";
    case Blow::kFailedSync:
      return "fsync failed";
    case Blow::kReadError:
      return "reads failed";
    case Blow::kWallJump:
      return "wall clock jumped";
    case Blow::kPause:
      return "paused and resumed";
  }
  return "";
}

// The figures of one target, out of the provider's log.
class Load {
 public:
  explicit Load(const Played& played) : played_(&played) {}

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
    std::sort(changes.begin(), changes.end());  // of one moment, ends before begins
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
  // What was in flight when the server died ended with it, as far as the server's slots go.
  TimePoint EndOf(const Received& request) const {
    if (request.fate != Fate::kInFlight) return request.left;
    for (const Death& death : played_->deaths) {
      if (death.life == request.life) return death.at;
    }
    return std::max(played_->done, request.received);
  }

  const Played* played_;
  std::vector<const Received*> requests_;
};

class Simulator {
 public:
  explicit Simulator(const SimulateOptions& options) : options_(options) {
    premises_.stages = PlayedStages;
    premises_.options = SimulatedEngineOptions();
    const EngineOptions sizes;
    premises_.options.chunk_items = sizes.chunk_items;
    premises_.options.channel_items = sizes.channel_items;
    premises_.options.open_file = OpenFileSource;
  }

  StatusOr<v1::Simulation> Run() {
    v1::Simulation simulation;
    simulation.set_pipeline(options_.pipeline.name());
    MR_RETURN_IF_ERROR(CheckPipeline(options_.pipeline, BuiltinStages()));
    MR_ASSIGN_OR_RETURN(const BoundPipeline bound, BindParameters(options_.pipeline, options_.request.parameters()));
    config_ = CastOf(options_, bound.pipeline, simulation);
    for (int i = 0; i < options_.seeds; ++i) {
      MR_RETURN_IF_ERROR(PlaySeed(options_.first_seed + static_cast<uint64_t>(i), *simulation.add_runs()));
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
    scenario.habits = HabitsOf(options_.profile);
    scenario.durable = DurableOf(config_.durability());
    scenario.read_back = options_.faults;
    scenario.patience = kYear;
    return scenario;
  }

  StatusOr<Played> PlayOut(const Scenario& scenario) const {
    const Premises premises{.stages = premises_.stages, .files = options_.files, .options = premises_.options};
    Played played = Play(scenario, Mutant::kNone, premises);
    if (!played.refused.ok()) return played.refused;
    if (!played.ended) {
      return MakeError(Reason::kInternal,
                       fmt::format("seed {}: the run would not end: {}", scenario.seed, played.trouble));
    }
    return played;
  }

  Status PlaySeed(uint64_t seed, v1::SimulatedRun& run) const {
    run.set_seed(seed);
    Scenario scenario = Plain(seed);
    if (!options_.faults) {
      MR_ASSIGN_OR_RETURN(const Played played, PlayOut(scenario));
      Report(played, run);
      return absl::OkStatus();
    }
    MR_ASSIGN_OR_RETURN(const Played reference, PlayOut(Undisturbed(scenario)));
    Random random(seed);
    DrawTroubles(scenario.habits, random);
    DrawBlows(scenario, random, reference.done - reference.begin);
    scenario.run_again = true;
    MR_ASSIGN_OR_RETURN(const Played played, PlayOut(scenario));
    Report(played, run);
    for (const std::string& violation : Violations(scenario, played, reference)) run.add_violations(violation);
    return absl::OkStatus();
  }

  void Report(const Played& played, v1::SimulatedRun& run) const {
    run.set_state(played.run.state());
    if (played.run.has_error()) *run.mutable_error() = played.run.error();
    *run.mutable_stages() = played.run.stages();
    *run.mutable_wall_time() = FromDuration(played.done - played.begin);
    for (const Struck& struck : played.struck) {
      if (struck.at > played.done) continue;
      run.add_faults(fmt::format("{:.1f} s: {}", std::chrono::duration<double>(struck.at - played.begin).count(),
                                 NameOf(struck.blow)));
    }
    std::map<std::string, Load> loads;
    for (const Received& request : played.log.requests) {
      loads.try_emplace(request.model, played).first->second.Add(request);
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
        slots[target.model()] = target.limits().max_concurrency();
      }
    }
    return slots;
  }

  const SimulateOptions& options_;
  Premises premises_;
  v1::ServerConfig config_;
};

}  // namespace

StatusOr<v1::Simulation> Simulate(const SimulateOptions& options) { return Simulator(options).Run(); }

}  // namespace millrace::simulator
