// Runs seeds and mutants: `millrace_seeds [--first N] [--count N] [--mutants] [--mutant-seeds N] [--verbose]`. Prints
// the broken promises; exits with 1 if a seed broke one or a mutant was not caught.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "server/simulator/scenario_runner.h"

namespace {

using millrace::simulator::CheckSeed;
using millrace::simulator::Mutant;

// Prints the scenario that a seed draws and its result.
void Describe(uint64_t seed) {
  using namespace millrace::simulator;
  static constexpr const char* kFaults[] = {"kill",        "power loss", "disk low",  "disk full",
                                            "failed sync", "read error", "wall jump", "pause"};
  static constexpr const char* kDurable[] = {"sync", "interval", "process"};
  const auto seconds = [](auto duration) { return std::chrono::duration<double>(duration).count(); };
  const Scenario scenario = DrawScenario(seed);
  std::cout << fmt::format(
      "seed {}: {} items in {} parts{}, {}, {} slots{}{}, {} racers\n", seed, scenario.items.size(), scenario.parts,
      scenario.items_with_request ? " with the request" : "", kDurable[static_cast<int>(scenario.durable)],
      scenario.config.models(0).targets(0).limits().max_concurrency().slots(),
      scenario.cancel ? fmt::format(", cancel at {:.3f} s", seconds(scenario.cancel_at)) : "",
      scenario.redrive ? ", redrive" : "", scenario.racers);
  for (const auto& stage : scenario.pipeline.stages()) std::cout << "  " << stage.ShortDebugString() << "\n";
  for (size_t incarnation = 0; incarnation < scenario.incarnations.size(); ++incarnation) {
    for (const FaultAt& fault : scenario.incarnations[incarnation]) {
      std::cout << fmt::format("  incarnation {}: {} at {:.3f} s for {:.3f} s\n", incarnation,
                               kFaults[static_cast<int>(fault.fault)], seconds(fault.at), seconds(fault.lasts));
    }
  }
  const ScenarioResult result = RunScenario(scenario);
  for (const Crash& crash : result.crashes) {
    std::cout << fmt::format("  crash of incarnation {} at {:.3f} s{}\n", crash.incarnation,
                             seconds(crash.at.time_since_epoch()), crash.power_loss ? " by power loss" : "");
  }
  std::cout << "  " << result.run.ShortDebugString() << "\n";
}

// Cuts a violation, which may show a whole item.
std::string_view Short(std::string_view text) { return text.substr(0, 160); }

int RunSeeds(uint64_t first, uint64_t count, bool verbose) {
  int broken = 0;
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + count; ++seed) {
    if (verbose) Describe(seed);
    const std::vector<std::string> violations = CheckSeed(seed);
    if (violations.empty()) continue;
    ++broken;
    std::cout << fmt::format("seed {}: {} violations, first: {}\n", seed, violations.size(), Short(violations.front()));
    if (verbose) {
      for (const std::string& violation : violations) std::cout << "  " << violation << "\n";
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << fmt::format("simulator: {} seeds, {} with violations, {:.1f} s\n", count, broken, took.count());
  return broken;
}

int HuntMutants(uint64_t first, uint64_t seeds_max) {
  int missed = 0;
  int caught = 0;
  for (const Mutant mutant : millrace::simulator::kMutants) {
    bool found = false;
    for (uint64_t seed = first; seed < first + seeds_max && !found; ++seed) {
      const std::vector<std::string> violations = CheckSeed(seed, mutant);
      // A seed that fails without the mutant proves nothing about it.
      if (violations.empty() || !CheckSeed(seed).empty()) continue;
      found = true;
      std::cout << fmt::format("mutant '{}' caught by seed {} ({} tried): {}\n", millrace::simulator::NameOf(mutant),
                               seed, seed - first + 1, Short(violations.front()));
    }
    if (found) {
      ++caught;
    } else {
      ++missed;
      std::cout << fmt::format("mutant '{}' not caught within {} seeds\n", millrace::simulator::NameOf(mutant),
                               seeds_max);
    }
  }
  std::cout << fmt::format("mutants: {} of {} caught\n", caught, caught + missed);
  return missed;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t first = 1;
  uint64_t count = 100;
  uint64_t mutant_seeds = 200;
  bool mutants = false;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
    if (flag == "--first") {
      first = number();
    } else if (flag == "--count") {
      count = number();
    } else if (flag == "--mutant-seeds") {
      mutant_seeds = number();
    } else if (flag == "--mutants") {
      mutants = true;
    } else if (flag == "--verbose") {
      verbose = true;
    } else {
      std::cerr << "usage: millrace_seeds [--first N] [--count N] [--mutants] [--mutant-seeds N] [--verbose]\n";
      return 2;
    }
  }
  const int bad = mutants ? HuntMutants(first, mutant_seeds) : RunSeeds(first, count, verbose);
  return bad == 0 ? 0 : 1;
}
