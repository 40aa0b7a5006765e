#include "server/llm/admission/slots_by_kind.h"

#include <algorithm>

namespace millrace {
namespace {

// As often as AutoSlots tries a ceiling again: a trial that fails costs one rejection of 400 attempts.
constexpr int64_t kAnswersPerTrialOfCap = 400;

}  // namespace

int32_t SlotsByKind::limit() const {
  int32_t cap = std::max(1, ceiling_ - 1);
  for (const AutoSlots& kind : kinds_) {
    // The latency without a queue can only be measured if the other kind leaves room too.
    if (kind.is_measuring() && kind.in_flight() > 0) return kind.limit();
    cap = std::max(cap, kind.limit());
  }
  return cap;
}

void SlotsByKind::Began(const Admitted& attempt) {
  Slots::Began(attempt);
  AutoSlots& own = kinds_[IndexOf(attempt.estimate.kind)];
  own.Began(attempt);
  // A server that rejects is judged by its rejections, not by its latency.
  if (ceiling_ == 0 && in_flight() >= limit()) own.NoteFull();
}

void SlotsByKind::Freed(const Admitted& attempt, TimePoint now) {
  Slots::Freed(attempt, now);
  kinds_[IndexOf(attempt.estimate.kind)].Freed(attempt, now);
}

void SlotsByKind::Ended(const Admitted& attempt, const AttemptEnd& end, TimePoint now) {
  const CallKind kind = attempt.estimate.kind;
  AutoSlots& own = kinds_[IndexOf(kind)];
  const AutoSlots& other = kinds_[IndexOf(OtherThan(kind))];
  if (IsRejection(end.outcome)) {
    NoteRejection(attempt, now);
  } else if (end.outcome == backend::Outcome::kAnswered && ceiling_ > 0 && attempt.in_flight >= ceiling_ - 1 &&
             --answers_to_trial_ <= 0) {
    ceiling_ += std::max(1, ceiling_ / 10);
    ceiling_since_ = now;
    answers_to_trial_ = kAnswersPerTrialOfCap;
  }
  Admitted seen = attempt;
  seen.in_flight = attempt.in_flight_of_kind;
  own.ServesBeside(other.in_flight() > 0 ? other.served() : 0);
  own.Ended(seen, end, now);
}

void SlotsByKind::NoteRejection(const Admitted& attempt, TimePoint now) {
  const int32_t ceiling_of_kind = kinds_[IndexOf(attempt.estimate.kind)].ceiling();
  // A kind that is rejected at its own ceiling, or alone, says nothing about both together.
  if (attempt.in_flight == attempt.in_flight_of_kind) return;
  if (ceiling_of_kind > 0 && attempt.in_flight_of_kind >= ceiling_of_kind) return;
  // A burst that began under the ceiling before counts as one rejection, at its smallest number.
  if (attempt.began < ceiling_since_) {
    ceiling_ = std::min(ceiling_, attempt.in_flight);
    return;
  }
  ceiling_ = attempt.in_flight;
  ceiling_since_ = now;
  answers_to_trial_ = kAnswersPerTrialOfCap;
}

}  // namespace millrace
