// How many items of a stage may fail (`max_failures`) before the run does. Pure.
#pragma once

#include <cstdint>

#include "millrace/v1/pipeline.pb.h"

namespace millrace {

// Returns true if more than the allowed number of items failed. `items` is the stage's input so far. A share is judged
// when the input is closed, except a share of 0, which the first failure exceeds.
inline bool Exceeds(const v1::Tolerance& tolerance, int64_t failed, int64_t items, bool input_closed) {
  switch (tolerance.limit_case()) {
    case v1::Tolerance::kCount:
      return failed > tolerance.count();
    case v1::Tolerance::kShare:
      if (tolerance.share() <= 0) return failed > 0;
      return input_closed && static_cast<double>(failed) >
                                 tolerance.share() * static_cast<double>(items) * (1 + 1e-12);  // 29% of 100 is 29
    default:
      return false;
  }
}

// Returns true if a stage that calls models should stop, because all of its first items failed: the others would be
// paid for in vain. Only without a tolerance: whoever sets one decides.
inline bool FailsThroughout(const v1::Tolerance& tolerance, int64_t failed) {
  constexpr int64_t kFirstItems = 50;
  return tolerance.limit_case() == v1::Tolerance::LIMIT_NOT_SET && failed >= kFirstItems;
}

}  // namespace millrace
