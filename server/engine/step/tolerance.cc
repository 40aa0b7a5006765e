#include "server/engine/step/tolerance.h"

#include <fmt/format.h>

namespace millrace {
namespace {

// With fewer items, bad luck can't be told from a stage that can't succeed.
constexpr int64_t kFirstItems = 50;

}  // namespace

StageFailures::StageFailures(const v1::Tolerance& tolerance, bool calls_models, const v1::StageProgress& so_far)
    : tolerance_(tolerance),
      calls_models_(calls_models),
      failed_(so_far.failed()),
      has_other_(so_far.ok() + so_far.degraded() + so_far.skipped() > 0) {}

void StageFailures::Count(const StageItem& item) {
  if (item.state != v1::ITEM_STATE_FAILED) {
    has_other_ = true;
  } else if (item.wake_micros == 0) {
    ++failed_;
    newest_error_ =
        fmt::format("{}: {}", v1::ErrorReason_Name(item.reason).substr(sizeof("ERROR_REASON_") - 1), item.message);
  }
}

Status StageFailures::Judge(int64_t items, bool input_closed) const {
  if (Exceeds(tolerance_, failed_, items, input_closed)) {
    return MakeError(Reason::kTooManyFailures,
                     fmt::format("{} of {} items failed, more than max_failures allows", failed_, items));
  }
  const bool has_tolerance = tolerance_.limit_case() != v1::Tolerance::LIMIT_NOT_SET;
  if (has_tolerance || !calls_models_ || has_other_ || failed_ < kFirstItems) return absl::OkStatus();
  return MakeError(Reason::kTooManyFailures,
                   fmt::format("all of the first {} items failed, the newest with {}; correct the stage, or set its "
                               "`max_failures` to 100% to process the others all the same",
                               failed_, newest_error_));
}

}  // namespace millrace
