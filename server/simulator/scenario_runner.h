// Runs one scenario to its end, through as many incarnations of the server as it takes: the engine, call layer and
// stages of the server over a simulated clock, a disk in memory and a simulated provider.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/v1/completion_service.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/simulator/mutants.h"
#include "server/simulator/provider.h"
#include "server/simulator/scenario.h"
#include "server/simulator/simulation_setup.h"
#include "server/simulator/sink.h"

namespace millrace::simulator {

// The end of an incarnation of the server: its process or its machine died.
struct Crash {
  int incarnation = 0;
  TimePoint at{};
  bool power_loss = false;
  bool disk_trouble = false;  // a fault of the disk delayed commits in this incarnation
};

// A fault that was injected.
struct InjectedFault {
  TimePoint at{};
  Fault fault = Fault::kKill;
};

// An Embed request that was answered.
struct Embedded {
  std::vector<std::string> texts;
  v1::EmbedResponse response;
};

// Result of a scenario.
struct ScenarioResult {
  bool ended = false;   // the run ended and was read back
  std::string problem;  // why it did not end; empty if it did
  Status refused;       // error of CreateRun
  TimePoint begin{};
  TimePoint done{};  // when the run ended
  v1::Run run;
  std::vector<v1::Item> items;     // all stages', by stage and ordinal
  std::vector<Embedded> embedded;  // the answers to the scenario's embeds, then all their texts once more
  std::vector<v1::RunEvent> events;
  std::vector<v1::Attempt> attempts;
  int64_t pending = 0;                    // attempts in the store that are not settled after the run's end
  std::vector<std::string> created;       // names that the clients who created the run were given
  bool redriven = false;                  // at most once in the scenario, not once an incarnation
  std::optional<TimePoint> cancelled_at;  // when CancelRun was acknowledged
  ProviderLog log;
  SinkWorld sinks;
  std::vector<InjectedFault> injected;
  std::vector<Crash> crashes;
  TimePoint end{};
  // A second run over the same items: the questions that it sent, and its items.
  bool ran_again = false;
  std::vector<std::string> asked_again;
  std::vector<v1::Item> items_again;
  v1::Run run_again;
  v1::Run run_after;                        // the first run, after the second one
  std::vector<v1::Attempt> attempts_after;  // of both
};

// Runs the scenario. `mutant` breaks one part on purpose (mutants.h).
ScenarioResult RunScenario(const Scenario& scenario, Mutant mutant = Mutant::kNone, const SimulationSetup& setup = {});

// Returns every broken promise in words. `reference` is the result of the same scenario without faults.
std::vector<std::string> Violations(const Scenario& scenario, const ScenarioResult& result,
                                    const ScenarioResult& reference);

// Draws a seed's scenario, runs it with and without faults, and returns the broken promises.
std::vector<std::string> CheckSeed(uint64_t seed, Mutant mutant = Mutant::kNone);

}  // namespace millrace::simulator
