// How durable a commit is before it counts: the server's setting.
#pragma once

#include "server/base/clock.h"

namespace millrace {

struct Durability {
  enum class Mode {
    kSync,      // on the disk: one fdatasync shared by all that piled up
    kInterval,  // handed to the operating system, and on the disk within `interval`
    kProcess,   // handed to the operating system: a killed process loses nothing, a power loss has no bound
  };
  Mode mode = Mode::kSync;
  Duration interval = std::chrono::milliseconds(50);
};

}  // namespace millrace
