// The world of a simulation: one scenario played to its end through as many lives of the server as it takes. The same
// engine, call layer and stages as in the server, over a simulated clock, a disk in memory and a simulated provider.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/v1/run.pb.h"
#include "server/simulator/mutants.h"
#include "server/simulator/parts.h"
#include "server/simulator/provider.h"
#include "server/simulator/scenario.h"
#include "server/simulator/sink.h"

namespace millrace::simulator {

// The end of a life of the server.
struct Death {
  int life = 0;
  TimePoint at{};
  bool power_loss = false;
  bool disk_trouble = false;  // a fault of the disk stood in the way of commits in this life
};

// A blow that fell.
struct Struck {
  TimePoint at{};
  Blow blow = Blow::kKill;
};

// What a scenario came to.
struct Played {
  bool ended = false;   // the run ended, and could be read
  std::string trouble;  // what stood in the way where it did not
  Status refused;       // by CreateRun
  TimePoint begin{};
  TimePoint done{};  // when the run ended
  v1::Run run;
  std::vector<v1::Item> items;  // of all stages, by stage and ordinal
  std::vector<v1::RunEvent> events;
  std::vector<v1::Attempt> attempts;
  int64_t pending = 0;                    // attempts that the store holds as not settled, after the run's end
  std::vector<std::string> created;       // names that the racers got
  bool redriven = false;                  // once, not once a life
  std::optional<TimePoint> cancelled_at;  // when CancelRun was acknowledged
  ProviderLog log;
  SinkWorld sinks;
  std::vector<Struck> struck;
  std::vector<Death> deaths;
  TimePoint end{};
  // A second run over the same items: what it asked, and whether it read back the same.
  bool ran_again = false;
  std::vector<std::string> asked_again;
  std::vector<v1::Item> items_again;
};

Played Play(const Scenario& scenario, Mutant mutant = Mutant::kNone, const Premises& premises = {});

// Every promise that was broken, in words; empty: none. `reference` is the same scenario undisturbed.
std::vector<std::string> Violations(const Scenario& scenario, const Played& played, const Played& reference);

// Both, for one seed.
std::vector<std::string> CheckSeed(uint64_t seed, Mutant mutant = Mutant::kNone);

}  // namespace millrace::simulator
