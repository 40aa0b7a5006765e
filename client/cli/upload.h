// Upload of local files as the input of a run. If not all bytes can be sent, the command that created the run cancels
// it: nobody else would send the rest, and the run would wait forever.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "client/cli/input_reader.h"
#include "client/lib/client.h"

namespace millrace::cli {

// Retry policy and hooks of an upload.
struct UploadOptions {
  Duration backoff_min = std::chrono::milliseconds(200);
  Duration backoff_max = std::chrono::seconds(10);
  Duration patience = std::chrono::minutes(2);  // total wait between attempts of one call
  std::function<bool(Duration)> sleep;          // returns false if interrupted
  std::function<bool()> stopped;                // returns true if interrupted
  std::function<void(const std::string&)> say;  // shows a line to people
};

// Sends an input from its beginning and closes it at its end; the server compares the part that it already has (after a
// repeated request). Retries temporary failures (server unreachable, disk full, errors with a retry delay) with
// backoff. An error leaves the input open: see CancelUnsent. Errors: CANCELLED (interrupted), WRONG_RUN_STATE (the run
// has ended), REQUEST_ID_REUSED (the run was given another input before).
Status SendInput(client::Client& client, const std::string& run, const std::string& stage, InputReader& input,
                 const UploadOptions& options);

// Cancels a run whose input was not sent completely, and reports the result. `flags` are the options that reach the
// same server, for the message.
void CancelUnsent(client::Client& client, const std::string& run, const std::string& flags,
                  const UploadOptions& options);

}  // namespace millrace::cli
