// A scenario: a pipeline, its items and the faults to come, all drawn from one seed. Each seed switches features and
// faults on and off (swarm testing, Groce et al. 2012), so that their combinations are covered.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/simulator/provider.h"
#include "server/storage/memory_store.h"

namespace millrace::simulator {

// Something that happens to the server from outside.
enum class Fault {
  kKill,        // the process dies; writes that the operating system took stay
  kPowerLoss,   // the machine dies; writes that were not synced may be lost
  kDiskLow,     // the disk is nearly full for a while
  kDiskFull,    // the disk takes nothing for a while
  kFailedSync,  // one fsync fails
  kReadError,   // a few reads fail
  kWallJump,    // the wall clock jumps by up to an hour, either way
  kPause,       // a client pauses the run and resumes it after a while
};

struct FaultAt {
  Duration at{};  // after the incarnation's start
  Fault fault = Fault::kKill;
  Duration lasts{};
};

// The store's durability, as the server has it.
enum class Durable { kSync, kInterval, kProcess };

struct Scenario {
  uint64_t seed = 0;
  v1::Pipeline pipeline;
  v1::CreateRunRequest request;      // parameters, limit and sample
  std::vector<v1::InputItem> items;  // for the fetch `source`; empty: fetches read the files that they name
  bool items_with_request = true;    // false: they are sent by AddItems, in `parts`
  int parts = 1;
  Durable durable = Durable::kSync;
  ProviderProfile profile;
  std::vector<std::vector<FaultAt>> incarnations;  // faults by incarnation; those after the last have none
  v1::ServerConfig config;                         // models and their slots
  bool cancel = false;                             // a client cancels the run at `cancel_at`, in the last incarnation
  Duration cancel_at{};
  bool redrive = false;  // failed items are redriven at the end
  int racers = 1;        // clients that create the run at the same time with one request_id
  // Texts of the Embed requests of a client beside the run, one after the other.
  std::vector<std::vector<std::string>> embeds;
  bool run_again = false;                        // a second run over the same items follows
  bool read_back = true;                         // items, events and attempts are read at the end
  Duration time_limit = std::chrono::hours(12);  // of an incarnation; most end within seconds
};

// Draws everything about a scenario from its seed.
Scenario DrawScenario(uint64_t seed);

// Draw the faults of DrawScenario: failures that a target recovers from, and faults of the server within the first
// `span` of each incarnation.
void DrawProviderFaults(ProviderProfile& profile, Random& random);
void DrawFaults(Scenario& scenario, Random& random, Duration span);

// Returns the scenario without faults: the reference for its result.
Scenario WithoutFaults(Scenario scenario);

// Returns the options of the scenario's store.
MemoryStoreOptions StoreOptions(const Scenario& scenario, int64_t disk_reserve);

}  // namespace millrace::simulator
