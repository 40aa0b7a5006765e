#include "server/llm/admission/rate.h"

#include <algorithm>
#include <chrono>

namespace millrace {
namespace {

constexpr Duration kBurst = std::chrono::seconds(1);
// No reservation reaches further: a limit of a few tokens must not overflow the time.
constexpr Duration kAheadMax = std::chrono::hours(24 * 365);

Duration OfSeconds(double seconds) {
  const double max = std::chrono::duration<double>(kAheadMax).count();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::clamp(seconds, -max, max)));
}

}  // namespace

void Rate::SetPerMinute(int64_t per_minute) {
  seconds_per_unit_ = 60.0 / static_cast<double>(per_minute);
  // A limit below one a second still lets one attempt begin when the bucket is empty.
  burst_ = std::max(Duration(0), kBurst - OfSeconds(seconds_per_unit_));
}

TimePoint Rate::NotBefore(const Estimate&, TimePoint now) const {
  // The reservations of earlier attempts must have drained but for the burst. The attempt's own amount does not count:
  // one that is larger than the burst begins all the same, and those after it wait the longer.
  return std::max(now, full_until_ - burst_);
}

void Rate::Began(const Admitted& attempt) {
  const double seconds = seconds_per_unit_ * static_cast<double>(AmountOf(attempt.estimate));
  Reserve(seconds, attempt.began);
}

void Rate::Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) {
  const int64_t estimated = AmountOf(attempt.estimate);
  const int64_t correction = RealAmount(end, estimated) - estimated;
  if (correction == 0) return;
  Reserve(seconds_per_unit_ * static_cast<double>(correction), now);
}

void Rate::Reserve(double seconds, TimePoint now) {
  full_until_ = std::min(std::max(full_until_, now) + OfSeconds(seconds), now + kAheadMax);
}

int64_t TokenRate::RealAmount(const AttemptEnd& end, int64_t estimated) const {
  if (!end.was_sent || IsRejection(end.outcome)) return 0;
  return end.tokens.value_or(estimated);
}

}  // namespace millrace
