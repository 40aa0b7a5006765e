// Limits of the attempts in flight at one target.
#pragma once

#include <array>

#include "server/llm/admission/admission.h"

namespace millrace {

// A limit of the attempts in flight, with its present value. The limit holds for chat and embedding together; a kind
// may have a lower one of its own.
class Slots : public Admission {
 public:
  TimePoint NotBefore(const Estimate& estimate, TimePoint now) const final {
    return in_flight() < limit() && in_flight(estimate.kind) < limit_of(estimate.kind) ? now : kNever;
  }
  void Began(const Admitted& attempt) override { ++in_flight_[IndexOf(attempt.estimate.kind)]; }
  void Freed(const Admitted& attempt, TimePoint) override { --in_flight_[IndexOf(attempt.estimate.kind)]; }
  void Ended(const Admitted&, const AttemptEnd&, TimePoint) override {}
  std::string_view name() const final { return "slot"; }

  // Largest number of attempts in flight now, at least 1.
  virtual int32_t limit() const = 0;
  // Largest number of them that may be of one kind, at least 1.
  virtual int32_t limit_of(CallKind) const { return limit(); }
  int32_t in_flight() const { return in_flight_[0] + in_flight_[1]; }
  int32_t in_flight(CallKind kind) const { return in_flight_[IndexOf(kind)]; }

 private:
  std::array<int32_t, kCallKinds> in_flight_{};
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
