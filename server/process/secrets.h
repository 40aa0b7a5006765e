// Policy of a process whose configuration names a secret that it does not have.
#pragma once

namespace millrace {

// kRequired: it refuses to start. kOptional: only calls to that backend fail, for commands that call no backend.
enum class Secrets { kRequired, kOptional };

}  // namespace millrace
