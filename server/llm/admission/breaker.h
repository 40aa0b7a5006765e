// Circuit breaker of one target: it opens if nearly all attempts of the newest time failed by the target's fault. While
// it is open nothing is sent; then one attempt at a time is a probe, and the first that is answered closes it.
// (M. Nygard, "Release It!", 2007.)
#pragma once

#include <algorithm>
#include <deque>

#include "server/llm/admission/admission.h"

namespace millrace {

struct BreakerSettings {
  double failure_ratio = 0.9;                   // opens at this share of failures, 0 to 1; above 1: never
  int32_t attempts_min = 20;                    // among at least so many attempts
  Duration window = std::chrono::seconds(30);   // that ended within this time
  Duration cooldown = std::chrono::seconds(5);  // from its opening, or a probe's failure, to the next probe

  bool operator==(const BreakerSettings&) const = default;
};

class Breaker final : public Admission {
 public:
  explicit Breaker(const BreakerSettings& settings) : settings_(settings) {}

  TimePoint NotBefore(const Estimate&, TimePoint now) const override;
  void Began(const Admitted& attempt) override;
  void Freed(const Admitted&, TimePoint) override {}
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) override;
  std::string_view name() const override { return "breaker"; }

  bool is_open() const { return is_open_; }
  // If it is open: lets the next probe begin at `time`.
  void ProbeAt(TimePoint time) { probe_at_ = std::min(probe_at_, time); }

 private:
  struct Sample {
    TimePoint at;
    bool is_failure = false;
  };
  void Open(TimePoint now);

  const BreakerSettings settings_;
  std::deque<Sample> samples_;  // of the window, oldest first; at most kSamplesMax
  int64_t failures_ = 0;        // among the samples
  bool is_open_ = false;
  bool is_probing_ = false;  // a probe is in flight
  TimePoint probe_began_{};
  TimePoint probe_at_{};  // when the next probe may begin
};

}  // namespace millrace
