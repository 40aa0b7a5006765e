#include "server/llm/admission/silence.h"

#include <utility>

namespace millrace {
namespace {

// Two sets of so many answers: enough that a stage of short answers does not make one of long answers look silent.
constexpr int32_t kSamplesOfSet = 500;

// Returns whether the outcome shows that the target sent something.
bool IsSignOfLife(backend::Outcome outcome) {
  return outcome != backend::Outcome::kNotSent && outcome != backend::Outcome::kUnknown &&
         outcome != backend::Outcome::kCancelled;
}

}  // namespace

void Silence::Began(const Admitted& attempt) {
  Check(attempt.began);
  if (is_suspected_) probe_at_ = attempt.began + kProbeInterval;
  if (in_flight_++ == 0) silent_since_ = attempt.began;
}

void Silence::Ended(const Admitted&, const AttemptEnd& end, TimePoint now) {
  if (end.was_sent && IsSignOfLife(end.outcome)) Heard(now);
}

void Silence::Heard(TimePoint now) {
  is_suspected_ = false;
  silent_since_ = now;
}

void Silence::NoteFirstByte(CallKind kind, Duration wait) {
  Waits& waits = waits_[IndexOf(kind)];
  waits.longest = std::max(waits.longest, wait);
  if (++waits.samples < kSamplesOfSet) return;
  waits.samples = 0;
  waits.longest_before = std::exchange(waits.longest, Duration(0));
}

Duration Silence::Patience() const {
  Duration longest{};
  for (const Waits& waits : waits_) longest = std::max({longest, waits.longest, waits.longest_before});
  return longest == Duration(0) ? kPatienceAtFirst : std::max(kPatienceMin, kMultiple * longest);
}

TimePoint Silence::SuspectedFrom() const {
  return is_suspected_ || in_flight_ == 0 ? kNever : silent_since_ + Patience();
}

bool Silence::Check(TimePoint now) {
  if (is_suspected_ || now < SuspectedFrom()) return false;
  is_suspected_ = true;
  probe_at_ = now + kProbeInterval;
  return true;
}

}  // namespace millrace
