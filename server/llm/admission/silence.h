// Suspicion that a target hangs: it accepts attempts, and no byte of any answer comes. Without it, a target of better
// priority that hangs would hold its calls until their time limit although another target could answer them.
//
// A target is suspected if attempts are in flight and nothing has come from it for 3 times the longest wait for a first
// byte among its newest answers, at least 10 s; before its first answer for 30 s, because a cold local server loads its
// model first. A multiple of the longest wait is enough, because a wrong suspicion costs little: it delays and cancels
// nothing, and any byte ends it. (More exact estimates are known, such as the accrual detector of Hayashibara, 2004.
// They need regular heartbeats; answers differ in length.)
//
// A suspected target is not closed. Calls that have another target go there, except one probe each 30 s; calls without
// another continue here. Attempts in flight are left alone, because they may be billed.
#pragma once

#include <algorithm>
#include <array>

#include "server/llm/admission/admission.h"

namespace millrace {

class Silence final : public Admission {
 public:
  static constexpr int kMultiple = 3;
  static constexpr Duration kPatienceMin = std::chrono::seconds(10);
  static constexpr Duration kPatienceAtFirst = std::chrono::seconds(30);
  static constexpr Duration kProbeInterval = std::chrono::seconds(30);

  TimePoint NotBefore(const Estimate&, TimePoint now) const override { return now; }
  void Began(const Admitted& attempt) override;
  void Freed(const Admitted&, TimePoint now) override {
    Check(now);  // the suspicion stays if this was the last attempt in flight
    --in_flight_;
  }
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) override;
  std::string_view name() const override { return "silence"; }

  // Bytes have come.
  void Heard(TimePoint now);
  // The first byte of an answer of this kind came `wait` after its attempt began.
  void NoteFirstByte(CallKind kind, Duration wait);

  bool IsSuspected(TimePoint now) const { return is_suspected_ || now >= SuspectedFrom(); }
  // Returns when the target becomes suspected if nothing comes; kNever if it is, or if no attempt is in flight.
  TimePoint SuspectedFrom() const;
  // Returns when the next probe may begin. REQUIRES: IsSuspected.
  TimePoint ProbeAt() const { return is_suspected_ ? probe_at_ : SuspectedFrom() + kProbeInterval; }
  // Returns whether the target has become suspected since the last call.
  bool Check(TimePoint now);

 private:
  Duration Patience() const;

  int32_t in_flight_ = 0;
  TimePoint silent_since_{};
  bool is_suspected_ = false;
  TimePoint probe_at_{};
  // Longest waits of the newest answers: of the present samples, and of the full set before them. Kinds are apart,
  // because a burst of embeddings must not make a chat answer look silent.
  struct Waits {
    int32_t samples = 0;
    Duration longest{};
    Duration longest_before{};
  };
  std::array<Waits, kCallKinds> waits_;
};

}  // namespace millrace
