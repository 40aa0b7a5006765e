// The budget of retries of one target: they may not make up more of its load than its answers warrant, so that a target
// in trouble is not buried under retries (Google, "Site Reliability Engineering", chapter 22). An answer adds tokens, a
// retry takes one; one a second is always there. The budget paces retries; it never fails a call. First attempts do not
// count.
#pragma once

#include "server/llm/admission/admission.h"

namespace millrace {

class RetryBudget final : public Admission {
 public:
  // Tokens for each answer. With 3, a target that fails three attempts of four at random still runs at full rate.
  static constexpr double kPerAnswer = 3;
  static constexpr double kTokensMax = 100;
  // Retries that are always allowed.
  static constexpr Duration kFloor = std::chrono::seconds(1);

  TimePoint NotBefore(const Estimate& estimate, TimePoint now) const override;
  void Began(const Admitted& attempt) override;
  void Freed(const Admitted&, TimePoint) override {}
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) override;
  std::string_view name() const override { return "retry_budget"; }

 private:
  double tokens_ = kTokensMax;
  TimePoint floor_at_{};  // when the next retry may begin without a token
};

}  // namespace millrace
