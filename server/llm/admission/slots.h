// Limits of the attempts in flight at one target.
#pragma once

#include "server/llm/admission/admission.h"

namespace millrace {

// A limit of the attempts in flight, with its present value.
class Slots : public Admission {
 public:
  TimePoint NotBefore(const Estimate&, TimePoint now) const final { return in_flight_ < limit() ? now : kNever; }
  void Began(const Admitted&) override { ++in_flight_; }
  void Freed(const Admitted&, TimePoint) override { --in_flight_; }
  void Ended(const Admitted&, const AttemptEnd&, TimePoint) override {}
  std::string_view name() const final { return "slot"; }

  // Largest number of attempts in flight now, at least 1.
  virtual int32_t limit() const = 0;
  int32_t in_flight() const { return in_flight_; }

 private:
  int32_t in_flight_ = 0;
};

// A configured number of slots.
class FixedSlots final : public Slots {
 public:
  explicit FixedSlots(int32_t limit) : limit_(limit) {}
  int32_t limit() const override { return limit_; }

 private:
  const int32_t limit_;
};

}  // namespace millrace
