// Slots of a target that is asked for chat and for embeddings, whose number is found out.
//
// An embedding takes milliseconds and an answer seconds. One limiter for both would take the latency of an embedding
// for that of an idle server, and then every answer for one that had waited in a queue. So each kind has an AutoSlots
// of its own, which sees the latencies and rejections of its kind only. Both kinds share the server, so a cap bounds
// their sum: the higher of their limits, which is proven, or more if a rejection has shown that more of both kinds fit.
// A kind that finds the cap reached by the other is judged by what the server served of both (Little's law, as in
// AutoSlots).
#pragma once

#include <array>

#include "server/llm/admission/auto_slots.h"

namespace millrace {

class SlotsByKind final : public Slots {
 public:
  int32_t limit() const override;
  int32_t limit_of(CallKind kind) const override { return kinds_[IndexOf(kind)].limit(); }
  void Began(const Admitted& attempt) override;
  void Freed(const Admitted& attempt, TimePoint now) override;
  void Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) override;

 private:
  void NoteRejection(const Admitted& attempt, TimePoint now);

  std::array<AutoSlots, kCallKinds> kinds_;
  // Smallest number in flight that was rejected while both kinds were; 0: none. Tried again one step above, as a
  // ceiling of AutoSlots is.
  int32_t ceiling_ = 0;
  TimePoint ceiling_since_{};
  int64_t answers_to_trial_ = 0;
};

}  // namespace millrace
