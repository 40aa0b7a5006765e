#include "client/cli/outage.h"

#include <fmt/format.h>

#include <algorithm>

#include "client/cli/output.h"
#include "server/base/duration.h"

namespace millrace::cli {

bool IsOutage(const Status& status) {
  if (HasReason(status)) {
    return ReasonOf(status) == Reason::kDraining || ReasonOf(status) == Reason::kStoreUnavailable;
  }
  // gRPC's own errors of a connection that broke, by the moment at which it did.
  return status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kInternal ||
         status.code() == absl::StatusCode::kCancelled;
}

bool Outage::Wait(const Status& status) {
  if (!IsOutage(status) || waited_ >= options_.patience) return false;
  if (waited_ == Duration(0)) {
    options_.say(fmt::format("the server is away ({}); trying again for up to {}", Safe(MessageOf(status), 500),
                             LongTime(FromDuration(options_.patience))));
  }
  if (!options_.sleep(backoff_)) return false;
  waited_ += backoff_;
  backoff_ = std::min(2 * backoff_, options_.backoff_max);
  return true;
}

void Outage::End() {
  if (waited_ == Duration(0)) return;
  options_.say("the server answers again");
  waited_ = Duration(0);
  backoff_ = options_.backoff_min;
}

}  // namespace millrace::cli
