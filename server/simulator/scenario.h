// A scenario: a pipeline, its items, and what will go wrong when, all drawn from one seed. Each seed switches features
// and faults on and off (swarm testing, Groce et al. 2012), so that their combinations are covered.
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

namespace millrace::simulator {

// What happens to the server from outside at a moment.
enum class Blow {
  kKill,        // the process dies: what was handed to the operating system stays
  kPowerLoss,   // the machine dies: what was not synced may be lost
  kDiskLow,     // the disk is nearly full for a while
  kDiskFull,    // the disk takes nothing for a while
  kFailedSync,  // one fsync fails
  kReadError,   // a few reads fail
  kWallJump,    // the wall clock jumps by up to an hour, either way
  kPause,       // a client pauses the run and resumes it after a while
};

struct BlowAt {
  Duration at{};  // after the life's start
  Blow blow = Blow::kKill;
  Duration lasts{};
};

// The store's durability, as the server has it.
enum class Durable { kSync, kInterval, kProcess };

struct Scenario {
  uint64_t seed = 0;
  v1::Pipeline pipeline;
  v1::CreateRunRequest request;      // parameters, limit and sample
  std::vector<v1::InputItem> items;  // of the fetch `source`; none: the fetches read what they name
  bool items_with_request = true;    // else by AddItems, in parts
  int parts = 1;
  Durable durable = Durable::kSync;
  ProviderHabits habits;
  std::vector<std::vector<BlowAt>> lives;  // blows of each life; after the last one nothing goes wrong
  v1::ServerConfig config;                 // models and their slots
  bool cancel = false;                     // a client cancels the run at `cancel_at`
  Duration cancel_at{};
  bool redrive = false;                        // failed items are redriven at the end, with a healthy provider
  int racers = 1;                              // clients that create the run with one request_id at once
  bool run_again = false;                      // a second run over the same items follows
  bool read_back = true;                       // items, events and attempts are read at the end
  Duration patience = std::chrono::hours(12);  // no life needs so long: most are over within seconds
};

Scenario DrawScenario(uint64_t seed);

// Draws the parts of DrawScenario that are trouble: failures that a target may recover from, and blows in the first
// `span` of each life.
void DrawTroubles(ProviderHabits& habits, Random& random);
void DrawBlows(Scenario& scenario, Random& random, Duration span);

// The same pipeline and items with nothing going wrong: the reference.
Scenario Undisturbed(Scenario scenario);

}  // namespace millrace::simulator
