// Durability that a commit has before it is acknowledged: a setting of the server.
#pragma once

#include "server/base/clock.h"

namespace millrace {

// Mode kSync is the default, because a lost commit may be a paid answer.
struct Durability {
  enum class Mode {
    kSync,      // on the disk; all waiting commits share one fdatasync
    kInterval,  // given to the operating system, and on the disk within `interval`
    kProcess,   // given to the operating system: a killed process loses nothing, a power loss may lose any number
  };
  Mode mode = Mode::kSync;
  Duration interval = std::chrono::milliseconds(50);  // for kInterval only
};

}  // namespace millrace
