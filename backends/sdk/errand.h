// Errands: requests that keep a provider's server ready and cost nothing, such as loading a model into memory.
#pragma once

#include "server/base/clock.h"

namespace millrace::backend {

// An errand for one model.
enum class Errand {
  kWarmUp,  // load it into memory
  kUnload,  // remove it from memory
  kPull,    // download it to the server
};

// Errands that the configuration of a backend asks for.
struct Upkeep {
  bool warms_up = false;  // before the first call of a run
  Duration keep_warm =
      Duration::zero();  // time without a request after which a model in use is warmed up again; 0: never
  bool unloads = false;  // after the last run
  bool pulls = false;    // if the server does not have the model
};

}  // namespace millrace::backend
