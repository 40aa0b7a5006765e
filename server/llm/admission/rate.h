// Limits per minute: of requests (`rpm`) and of tokens (`tpm`).
#pragma once

#include "server/llm/admission/admission.h"

namespace millrace {

// A limit per minute as a leaky bucket (the generic cell rate algorithm, ITU-T I.371): attempts begin evenly, with a
// burst of at most one second's worth, so that no minute, wherever a provider begins to count it, has more than the
// limit and one sixtieth. Amounts are reserved when an attempt begins and corrected when its real amount is known.
class Rate : public Admission {
 public:
  explicit Rate(int64_t per_minute) { SetPerMinute(per_minute); }

  // Changes the limit. Reservations stay as long as they are.
  void SetPerMinute(int64_t per_minute);

  TimePoint NotBefore(const Estimate& estimate, TimePoint now) const final;
  void Began(const Admitted& attempt) final;
  void Freed(const Admitted&, TimePoint) final {}
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) final;

 private:
  // Reserves what the limit allows in `seconds`; below 0: returns it.
  void Reserve(double seconds, TimePoint now);
  // Amount that the attempt takes, at least 0.
  virtual int64_t AmountOf(const Estimate& estimate) const = 0;
  // Real amount of an attempt; `estimated` if it is not known.
  virtual int64_t RealAmount(const AttemptEnd& end, int64_t estimated) const = 0;

  double seconds_per_unit_ = 0;
  Duration burst_{};
  TimePoint full_until_{};  // the bucket is empty from then on
};

class RequestRate final : public Rate {
 public:
  using Rate::Rate;
  std::string_view name() const override { return "requests_per_minute"; }

 private:
  int64_t AmountOf(const Estimate&) const override { return 1; }
  int64_t RealAmount(const AttemptEnd& end, int64_t estimated) const override { return end.was_sent ? estimated : 0; }
};

class TokenRate final : public Rate {
 public:
  using Rate::Rate;
  std::string_view name() const override { return "tokens_per_minute"; }

 private:
  int64_t AmountOf(const Estimate& estimate) const override { return estimate.tokens; }
  int64_t RealAmount(const AttemptEnd& end, int64_t estimated) const override;
};

}  // namespace millrace
