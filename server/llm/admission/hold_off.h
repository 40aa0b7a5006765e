// The pause that a provider asks for (Retry-After): no attempt of any call begins before it is over.
#pragma once

#include <algorithm>

#include "server/llm/admission/admission.h"

namespace millrace {

class HoldOff final : public Admission {
 public:
  // `wait_max` bounds the pause: a provider that asks for more is tried again after it.
  explicit HoldOff(Duration wait_max) : wait_max_(wait_max) {}

  TimePoint NotBefore(const Estimate&, TimePoint now) const override { return std::max(now, until_); }
  void Began(const Admitted&) override {}
  void Freed(const Admitted&, TimePoint) override {}
  void Ended(const Admitted&, const AttemptEnd& end, TimePoint now) override {
    // If a human must act first, waiting is not enough, and the attempts that show it must not be that far apart.
    if (!end.retry_after || NeedsHuman(end.outcome)) return;
    until_ = std::max(until_, now + std::min(*end.retry_after, wait_max_));
  }
  std::string_view name() const override { return "retry_after"; }

  TimePoint until() const { return until_; }
  // Ends the pause.
  void Clear() { until_ = TimePoint(); }

 private:
  const Duration wait_max_;
  TimePoint until_{};
};

}  // namespace millrace
