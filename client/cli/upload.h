// The client's own files on their way to a run: every byte, or who made the run cancels it. Nobody else would send the
// rest, and a run waits for its input for ever.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "client/cli/input_reader.h"
#include "client/lib/client.h"

namespace millrace::cli {

// How long to try, and what tries go through.
struct UploadOptions {
  Duration backoff_min = std::chrono::milliseconds(200);
  Duration backoff_max = std::chrono::seconds(10);
  Duration patience = std::chrono::minutes(2);  // waits for one call to pass, together
  std::function<bool(Duration)> sleep;          // false: interrupted
  std::function<bool()> stopped;                // interrupted
  std::function<void(const std::string&)> say;  // a line for people
};

// Sends an input from its beginning and closes it where it ends; what the server already has (after a repeated request)
// it compares. What passes (a server that is away, a full disk, whatever names a delay) is tried again with backoff. An
// error leaves the input open: see CancelUnsent. CANCELLED where it was interrupted. WRONG_RUN_STATE: the run has
// ended. REQUEST_ID_REUSED: the run was given another input before.
Status SendInput(client::Client& client, const std::string& run, const std::string& stage, InputReader& input,
                 const UploadOptions& options);

// Cancels a run whose input was not sent whole, and says what came of it. `flags`: how commands reach the same server.
void CancelUnsent(client::Client& client, const std::string& run, const std::string& flags,
                  const UploadOptions& options);

}  // namespace millrace::cli
