// Command `simulate`: predicts the time and the calls of a run without asking a model.
#include "server/simulator/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/lib/holder.h"
#include "server/base/text_file.h"
#include "server/config/scalar.h"
#include "server/config/server_config.h"
#include "server/files/files.h"
#include "server/process/coordinator.h"

namespace millrace::cli {
namespace {

constexpr size_t kProfileMibMax = 1;

struct SimulateArguments {
  std::string pipeline;
  std::vector<std::string> parameters;
  int64_t limit = 0;
  int64_t sample = 0;
  std::string profile;
  std::string latency;
  int32_t concurrency = 0;
  uint64_t seed = 1;
  int seeds = 1;
  bool faults = false;
};

StatusOr<v1::SimulatedProfile> LoadProfile(const SimulateArguments& arguments) {
  v1::SimulatedProfile profile;
  if (!arguments.profile.empty()) {
    const StatusOr<std::string> text = ReadTextFile(arguments.profile, kProfileMibMax);
    if (!text.ok()) return WithContext(text.status(), "--profile");
    MR_ASSIGN_OR_RETURN(profile, ReadSimulatedProfile(*text, arguments.profile));
  } else {
    MR_ASSIGN_OR_RETURN(profile, ReadSimulatedProfile("{latency: 1s, latency_sigma: 0.4}", "built in"));
  }
  if (arguments.latency.empty()) return profile;
  const std::optional<Duration> latency = ParseDuration(arguments.latency);
  if (!latency) {
    return MakeError(Reason::kInvalidField,
                     fmt::format("--latency {}: expected a duration such as 1.5s", Excerpt(arguments.latency)));
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*latency);
  profile.mutable_latency()->set_seconds(seconds.count());
  profile.mutable_latency()->set_nanos(static_cast<int32_t>((*latency - seconds).count()));
  if (arguments.profile.empty()) profile.clear_latency_sigma();
  return profile;
}

StatusOr<v1::Pipeline> FindPipeline(Session& session, const std::string& pipeline) {
  if (IsFile(pipeline)) {
    MR_ASSIGN_OR_RETURN(PipelineFile file, LoadPipeline(pipeline, session.config));
    return std::move(file.pipeline);
  }
  MR_ASSIGN_OR_RETURN(client::Client* const client, session.Connect());
  v1::GetPipelineRequest request;
  request.set_name(pipeline);
  MR_ASSIGN_OR_RETURN(v1::GetPipelineResponse response, client->GetPipeline(request));
  return std::move(*response.mutable_pipeline()->mutable_pipeline());
}

std::string BrokenText(const v1::SimulatedRun& run) {
  std::string text;
  for (const std::string& violation : run.violations()) text += fmt::format("  broken: {}\n", Safe(violation, 1024));
  return text;
}

std::string RunText(const v1::SimulatedRun& run) {
  int64_t calls = 0, attempts = 0, hits = 0, coalesced = 0, maybe_billed = 0, in = 0, out = 0, unpriced = 0, cost = 0;
  std::vector<std::vector<std::string>> rows = {
      {"STAGE", "KIND", "IN", "OK", "DEGRADED", "FAILED", "SKIPPED", "CALLS", "ATTEMPTS", "TOKENS IN", "OUT", "TIME"}};
  for (const v1::StageProgress& stage : run.stages()) {
    calls += stage.calls();
    attempts += stage.attempts();
    hits += stage.cache_hits();
    coalesced += stage.coalesced();
    maybe_billed += stage.maybe_billed();
    in += stage.input_tokens();
    out += stage.output_tokens();
    unpriced += stage.unpriced_attempts();
    cost += stage.cost_nano_usd();
    rows.push_back({stage.stage(), stage.kind(), Count(stage.items_in()), Count(stage.ok()), Count(stage.degraded()),
                    Count(stage.failed()), Count(stage.skipped()), Count(stage.calls()), Count(stage.attempts()),
                    Count(stage.input_tokens()), Count(stage.output_tokens()), LongTime(stage.elapsed_time())});
  }
  std::string text = fmt::format("wall time  {} (the calls need at least {} on their slots)\n",
                                 LongTime(run.wall_time()), LongTime(run.bound()));
  text += fmt::format("calls      {} ({} answered from memory, {} joined another), {} attempts, {} maybe billed\n",
                      Count(calls), Count(hits), Count(coalesced), Count(attempts), Count(maybe_billed));
  text += fmt::format("tokens     {} in, {} out; cost {}\n", Count(in), Count(out), Cost(cost, unpriced));
  for (const v1::SimulatedTarget& target : run.targets()) {
    text += fmt::format("target     {}: {} requests, {} refused, {} lost; at most {} of {} slots in flight\n",
                        Safe(target.name()), Count(target.requests()), Count(target.rejected()), Count(target.lost()),
                        Count(target.peak_in_flight()), Count(target.slots()));
  }
  if (run.state() != v1::RUN_STATE_SUCCEEDED) {
    text += fmt::format("the run would end as {}: {} ({})\n", StateName(run.state()), Safe(run.error().message(), 1024),
                        ReasonName(run.error().reason()));
  }
  for (const std::string& fault : run.faults()) text += fmt::format("fault      {}\n", Safe(fault));
  return text + Table(rows) + BrokenText(run);
}

double InSeconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
}

std::string RunsText(const v1::Simulation& simulation) {
  std::vector<std::vector<std::string>> rows = {
      {"SEED", "STATE", "WALL TIME", "AT LEAST", "ATTEMPTS", "MAYBE BILLED", "FAILED", "FAULTS", "BROKEN"}};
  std::vector<google::protobuf::Duration> times;
  std::string broken;
  for (const v1::SimulatedRun& run : simulation.runs()) {
    int64_t attempts = 0, maybe_billed = 0, failed = 0;
    for (const v1::StageProgress& stage : run.stages()) {
      attempts += stage.attempts();
      maybe_billed += stage.maybe_billed();
      failed += stage.failed();
    }
    rows.push_back({std::to_string(run.seed()), StateName(run.state()), LongTime(run.wall_time()),
                    LongTime(run.bound()), Count(attempts), Count(maybe_billed), Count(failed),
                    Count(run.faults_size()), Count(run.violations_size())});
    times.push_back(run.wall_time());
    if (run.violations_size() > 0) broken += fmt::format("seed {}:\n{}", run.seed(), BrokenText(run));
  }
  std::sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return InSeconds(a) < InSeconds(b); });
  return Table(rows) + broken +
         fmt::format("wall time  minimum {}, median {}, maximum {}\n", LongTime(times.front()),
                     LongTime(times[times.size() / 2]), LongTime(times.back()));
}

int ExitOf(const v1::Simulation& simulation) {
  int exit = kDone;
  for (const v1::SimulatedRun& run : simulation.runs()) {
    if (run.state() != v1::RUN_STATE_SUCCEEDED || run.violations_size() > 0) return kRunFailed;
    for (const v1::StageProgress& stage : run.stages()) {
      if (stage.failed() > 0) exit = kSomeFailed;
    }
  }
  return exit;
}

StatusOr<v1::Simulation> Play(Session& session, const SimulateArguments& arguments) {
  MR_ASSIGN_OR_RETURN(v1::Pipeline pipeline, FindPipeline(session, arguments.pipeline));
  v1::CreateRunRequest request;
  MR_RETURN_IF_ERROR(ReadParameters(arguments.parameters, *request.mutable_parameters()));
  request.set_limit(arguments.limit);
  request.set_sample(arguments.sample);
  MR_ASSIGN_OR_RETURN(v1::SimulatedProfile profile, LoadProfile(arguments));
  const std::string config_path = client::ConfigPath(session.config);
  v1::ServerConfig config = BuiltinServerConfig();
  if (!config_path.empty()) {
    MR_ASSIGN_OR_RETURN(config, LoadServerConfig(config_path));
  }
  // The simulation runs as the user and writes nothing, so it may read every file that the user may read.
  const std::vector<std::string> roots = {std::filesystem::current_path().string(), "/"};
  const FileRoots files(roots, roots);
  return simulator::Simulate({.pipeline = std::move(pipeline),
                              .request = std::move(request),
                              .config = std::move(config),
                              .profile = std::move(profile),
                              .concurrency = arguments.concurrency,
                              .first_seed = arguments.seed,
                              .seeds = arguments.seeds,
                              .faults = arguments.faults,
                              .files = files});
}

int SimulatePipeline(Session& session, const SimulateArguments& arguments) {
  const SystemClock clock;
  const TimePoint begin = clock.Now();
  const StatusOr<v1::Simulation> simulation = Play(session, arguments);
  if (!simulation.ok()) return PrintError(simulation.status());
  if (session.json()) {
    PrintJson(*simulation);
    return ExitOf(*simulation);
  }
  for (const std::string& model : simulation->made_up_models()) {
    std::cerr << fmt::format("model {} is not configured: simulated as one target\n", Safe(model));
  }
  std::cout << fmt::format("simulated {}: no model was asked, nothing was written\n", Safe(simulation->pipeline()));
  std::cout << (simulation->runs_size() == 1 ? RunText(simulation->runs(0)) : RunsText(*simulation));
  std::cerr << fmt::format("simulated in {:.1f} s\n", std::chrono::duration<double>(clock.Now() - begin).count());
  return ExitOf(*simulation);
}

}  // namespace

void AddSimulateCommand(CLI::App& app, Session& session, int& exit) {
  const auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* simulate = AddCommand(
      app, "simulate", "Simulate a run in virtual time: predict how long it takes and how often it asks",
      "  millrace simulate pipeline.yaml -p input=titles.csv --latency 2s --concurrency 20\n"
      "  millrace simulate pipeline.yaml -p input=titles.csv --profile slow.yaml --seeds 20\n"
      "  millrace simulate pipeline.yaml -p input=titles.csv --limit 200 --faults --seeds 50\n"
      "The real input is read. One made-up provider stands in for every model, with the slots, retries and\n"
      "time limits of the configuration. The time of computations is not predicted, and no answer counts as\n"
      "cached (`millrace plan` shows which ones are). A profile is a file such as\n"
      "  latency: 2s\n  latency_sigma: 0.5\n  time_per_token: 20ms\n  rate_limited: 2%\n  server_errors: 1%");
  simulate
      ->add_option("PIPELINE", arguments->pipeline,
                   "Pipeline file (ends in .yaml or contains a slash), or name of an applied pipeline")
      ->required();
  simulate->add_option("-p,--param", arguments->parameters, "Set a parameter, NAME=VALUE");
  CLI::Option* limit = simulate->add_option("--limit", arguments->limit, "Limit of items per fetch; 0: no limit")
                           ->check(WholeNumber(0, kInt64Max));
  simulate->add_option("--sample", arguments->sample, "Size of a random sample of each fetch; 0: all items")
      ->check(WholeNumber(0, kSampleMax))
      ->excludes(limit);
  simulate->add_option("--profile", arguments->profile,
                       "Profile of the provider, a YAML file (default: answers take about 1 s and never fail)");
  simulate->add_option("--latency", arguments->latency, "Latency of an answer, such as 2s; replaces the profile's");
  simulate->add_option("--concurrency", arguments->concurrency, "Slots of each target (default: as configured)")
      ->check(WholeNumber(1, 100000));
  simulate->add_option("--seed", arguments->seed, "Seed of the random draws; the same seed gives the same result")
      ->check(WholeNumber(0, std::numeric_limits<uint64_t>::max()))
      ->capture_default_str();
  simulate->add_option("--seeds", arguments->seeds, "Number of simulations, with consecutive seeds from --seed on")
      ->check(WholeNumber(1, 100000));
  simulate->add_flag(
      "--faults", arguments->faults,
      "Inject crashes, power loss, full disks and failing providers, and check that every guarantee holds");
  simulate->callback([&session, &exit, arguments] { exit = SimulatePipeline(session, *arguments); });
}

}  // namespace millrace::cli
