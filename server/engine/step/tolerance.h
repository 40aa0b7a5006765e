// How many items of a stage may fail (`max_failures`) before the run does.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run.pb.h"
#include "server/base/status.h"
#include "server/stages/item.h"

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

// Counter of the items of a stage that failed, in this episode and before.
class StageFailures {
 public:
  // `so_far`: the stage's progress when the episode began.
  StageFailures(const v1::Tolerance& tolerance, bool calls_models, const v1::StageProgress& so_far);

  void Count(const StageItem& item);
  // Items may have been found to have failed after they were counted.
  void CountAtLeast(int64_t failed) { failed_ = failed_ > failed ? failed_ : failed; }

  // Returns FAILED_PRECONDITION (TOO_MANY_FAILURES) if more failed than the tolerance allows. Without a tolerance, also
  // if each of the first 50 items of a stage that calls models failed: the others would be paid for in vain.
  Status Judge(int64_t items, bool input_closed) const;

 private:
  const v1::Tolerance tolerance_;
  const bool calls_models_;
  int64_t failed_ = 0;
  bool has_other_ = false;  // an item did not fail
  std::string newest_error_;
};

}  // namespace millrace
