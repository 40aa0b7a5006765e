#include "client/cli/upload.h"

#include <fmt/format.h>

#include <algorithm>

#include "client/cli/output.h"

namespace millrace::cli {
namespace {

constexpr size_t kPartBytes = 512u << 10;

bool MayPass(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable || ReasonOf(status) == Reason::kDiskLow ||
         RetryDelayOf(status).has_value();
}

// Repeats `call`, which must be idempotent, until it succeeds, fails permanently or `patience` runs out.
template <typename Call>
auto UntilItPasses(const UploadOptions& options, const Call& call) -> decltype(call()) {
  Duration backoff = options.backoff_min;
  Duration slept(0);
  while (true) {
    auto response = call();
    if (response.ok() || !MayPass(response.status()) || slept >= options.patience) return response;
    if (slept == Duration(0)) {
      options.say(fmt::format("the input is not sent yet: {}; retrying", Safe(MessageOf(response.status()), 1024)));
    }
    const Duration delay = std::clamp(RetryDelayOf(response.status()).value_or(backoff), backoff, options.backoff_max);
    if (!options.sleep(delay)) return MakeError(Reason::kCancelled, "interrupted");
    slept += delay;
    backoff = std::min(2 * backoff, options.backoff_max);
  }
}

}  // namespace

Status SendInput(client::Client& client, const std::string& run, const std::string& stage, InputReader& input,
                 const UploadOptions& options) {
  v1::AddItemsRequest request;
  request.set_run(run);
  request.set_stage(stage);
  v1::CloseInputRequest close;
  close.set_run(run);
  close.set_stage(stage);
  // Send also the part that the server already has: only then does the server notice that it comes from another file.
  // Hence AddItems and CloseInput use the offsets of this file, not the server's end.
  while (true) {
    if (options.stopped()) return MakeError(Reason::kCancelled, "interrupted");
    MR_ASSIGN_OR_RETURN(std::string part, input.Read(request.offset(), kPartBytes, options.stopped));
    close.set_end_offset(request.offset() + static_cast<int64_t>(part.size()));
    if (part.empty()) break;
    request.set_data(std::move(part));
    const Status added = UntilItPasses(options, [&] { return client.AddItems(request); }).status();
    if (ReasonOf(added) == Reason::kWrongRunState) {
      // Either the input was closed before the end of this file, so it was another file, or the run ended before it had
      // all of it.
      const Status closed = UntilItPasses(options, [&] { return client.CloseInput(close); }).status();
      return closed.ok() ? added : closed;
    }
    MR_RETURN_IF_ERROR(added);
    request.set_offset(close.end_offset());
  }
  return UntilItPasses(options, [&] { return client.CloseInput(close); }).status();
}

void CancelUnsent(client::Client& client, const std::string& run, const std::string& flags,
                  const UploadOptions& options) {
  v1::CancelRunRequest cancel;
  cancel.set_run(run);
  const StatusOr<v1::CancelRunResponse> response = client.CancelRun(cancel);
  if (response.ok()) {
    options.say(fmt::format("run {} is cancelled: not all of its input was sent", Safe(run)));
  } else {
    options.say(fmt::format("run {} can't be cancelled ({}); it waits for input; end it with `millrace cancel {}{}`",
                            Safe(run), Safe(MessageOf(response.status()), 1024), Safe(run), flags));
  }
}

}  // namespace millrace::cli
