#include "server/llm/admission/breaker.h"

#include <algorithm>

namespace millrace {
namespace {

// The newest attempts are enough to judge, whatever the rate is.
constexpr size_t kSamplesMax = 1000;

}  // namespace

TimePoint Breaker::NotBefore(const Estimate&, TimePoint now) const {
  if (!is_open_) return now;
  return is_probing_ ? kNever : std::max(now, probe_at_);
}

void Breaker::Began(const Admitted& attempt) {
  if (!is_open_) return;
  is_probing_ = true;
  probe_began_ = attempt.began;
}

void Breaker::Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) {
  const bool is_probe = is_probing_ && attempt.began == probe_began_;
  if (is_probe) is_probing_ = false;
  // If nobody waits for an answer any more, its end shows nothing about the target.
  if (!end.was_sent || end.outcome == backend::Outcome::kCancelled) return;
  const bool is_failure = IsTargetFault(end.outcome);
  if (is_open_) {
    // An attempt that began before the breaker opened and is answered now shows as much as a probe.
    if (!is_failure) {
      is_open_ = false;
      is_probing_ = false;
      samples_.clear();
      failures_ = 0;
    } else if (is_probe) {
      Open(now);
    }
    return;
  }
  samples_.push_back({now, is_failure});
  failures_ += is_failure;
  while (samples_.size() > kSamplesMax || samples_.front().at + settings_.window < now) {
    failures_ -= samples_.front().is_failure;
    samples_.pop_front();
  }
  const auto attempts = static_cast<double>(samples_.size());
  if (attempts >= settings_.attempts_min && static_cast<double>(failures_) >= settings_.failure_ratio * attempts) {
    Open(now);
  }
}

void Breaker::Open(TimePoint now) {
  is_open_ = true;
  probe_at_ = now + settings_.cooldown;
}

}  // namespace millrace
