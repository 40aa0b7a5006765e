// Answers that the end of a server waits for.
#pragma once

namespace millrace::api {

// kAll: those of all calls whose work the engine finishes. kMade: of these, only the answers that are on their way to the
// client, because the engine has given the other calls up.
enum class Answers { kAll, kMade };

}  // namespace millrace::api
