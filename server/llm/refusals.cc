#include "server/llm/refusals.h"

#include "server/llm/target.h"

namespace millrace {

Refusals::Fault Refusals::Count(const Target& target, int64_t attempt, int32_t max_attempts) {
  // An older attempt may have been accepted before the target began to refuse.
  if (count_ > 0 && target.newest_accepted() > newest_) {
    answers_others_ = true;
    in_row_ = 0;
  }
  newest_ = attempt;
  ++count_;
  ++in_row_;
  // If the target answers others, this call's own refusals say nothing against it.
  const int64_t against_target = target.refused_in_row() - (answers_others_ ? in_row_ : 0);
  if (against_target >= kInRowMin) return Fault::kTarget;
  return answers_others_ && count_ > max_attempts ? Fault::kCall : Fault::kUnclear;
}

}  // namespace millrace
