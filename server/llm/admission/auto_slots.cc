#include "server/llm/admission/auto_slots.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace millrace {
namespace {

constexpr int64_t kWindowAnswersMin = 4;
// A latency of at most this times the least one counts as no queue: latencies of equal calls differ.
constexpr double kNoQueue = 1.25;
// Slots beyond what the server serves in parallel, so that it always has the next attempt at hand.
constexpr double kSlack = 0.15;
// After so many windows the least latency is measured again, because prompts or the server may have changed.
constexpr int32_t kWindowsPerMeasure = 40;
// A limit that is rejected once more, soon after it was lowered, is lowered to this share.
constexpr double kCut = 0.75;
// After so many answers below the ceiling it is tried again: a trial that fails costs one rejection of 400 attempts.
constexpr int64_t kAnswersPerTrial = 400;

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

int32_t Step(int32_t limit) { return std::max(1, limit / 10); }

}  // namespace

void AutoSlots::Began(const Admitted& attempt) {
  Slots::Began(attempt);
  if (window_begin_ == TimePoint()) StartWindow(attempt.began);
  was_full_ |= in_flight() >= limit_;
}

void AutoSlots::Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) {
  if (IsRejection(end.outcome)) return NoteRejection(attempt, now);
  if (end.outcome == backend::Outcome::kAnswered || end.outcome == backend::Outcome::kAnsweredBad) {
    NoteAnswer(attempt, now);
  }
}

void AutoSlots::NoteRejection(const Admitted& attempt, TimePoint now) {
  is_doubling_ = false;
  const int32_t rejected = std::max(2, attempt.in_flight);
  if (attempt.began < limit_since_) {
    // Part of a burst that is counted already. It may show more exactly how many fit, if nothing was lowered further.
    if (ceiling_ != 0 && limit_ == ceiling_ - 1 && rejected < ceiling_) {
      ceiling_ = rejected;
      limit_ = rejected - 1;
    }
    return;
  }
  answers_to_trial_ = kAnswersPerTrial;
  // A limit that was just lowered and is rejected again: the capacity has fallen, nobody knows how far.
  limit_ = is_settling_ ? std::max(1, static_cast<int32_t>((rejected - 1) * kCut)) : rejected - 1;
  ceiling_ = rejected;
  is_settling_ = true;
  is_measuring_ = false;
  limit_since_ = now;
  StartWindow(now);
}

void AutoSlots::NoteAnswer(const Admitted& attempt, TimePoint now) {
  ++answers_;
  --answers_to_trial_;
  if (attempt.began < limit_since_) return;
  ++new_answers_;
  latencies_ += now - attempt.began;
  if (new_answers_ >= std::max<int64_t>(kWindowAnswersMin, limit_)) EndWindow(now);
}

void AutoSlots::StartWindow(TimePoint now) {
  window_begin_ = now;
  answers_ = 0;
  new_answers_ = 0;
  latencies_ = Duration(0);
  was_full_ = in_flight() >= limit_;
}

void AutoSlots::EndWindow(TimePoint now) {
  const double throughput = static_cast<double>(answers_) / std::max(Seconds(now - window_begin_), 1e-9);
  const double latency = Seconds(latencies_) / static_cast<double>(new_answers_);
  const int32_t before = limit_;
  is_settling_ = false;
  if (is_measuring_) {
    latency_min_ = latency;
    windows_ = 0;
    is_measuring_ = false;
    limit_ = measured_from_;
  } else if (was_full_) {
    limit_ = std::clamp(BelowCeiling(Wanted(throughput, latency)), 1, limit_max_);
    if (++windows_ >= kWindowsPerMeasure && limit_ >= 4 && latency > latency_min_ * kNoQueue) {
      is_measuring_ = true;
      measured_from_ = limit_;
      limit_ /= 2;
    }
  }
  served_ = throughput * latency_min_;
  if (limit_ != before) limit_since_ = now;
  StartWindow(now);
}

int32_t AutoSlots::Wanted(double throughput, double latency_seconds) {
  if (latency_min_ == 0 || latency_seconds < latency_min_) latency_min_ = latency_seconds;
  if (latency_seconds <= latency_min_ * kNoQueue) return is_doubling_ ? limit_ * 2 : limit_ + std::max(1, limit_ / 5);
  is_doubling_ = false;
  const double served = throughput * latency_min_ + served_beside_;
  return static_cast<int32_t>(std::ceil(served + std::max(1.0, served * kSlack) - 0.01));
}

int32_t AutoSlots::BelowCeiling(int32_t wanted) {
  if (ceiling_ == 0 || wanted < ceiling_) return wanted;
  if (limit_ >= ceiling_) {
    // A whole window above the ceiling was answered: there is more room than there was.
    ceiling_ = limit_ + 1;
    return std::min(wanted, limit_ + Step(limit_));
  }
  if (limit_ < ceiling_ - 1) return ceiling_ - 1;
  return answers_to_trial_ > 0 ? limit_ : limit_ + 1;
}

}  // namespace millrace
