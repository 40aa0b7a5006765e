// Forecast of the tokens of an attempt. The estimate of a call has the longest answer that it allows, and most answers
// are far shorter: reserved in full, a limit of tokens would let a fraction of what it allows begin. So an estimate is
// scaled by the share that the newest answers took of theirs.
#pragma once

#include <algorithm>
#include <cstdint>

namespace millrace {

class TokenForecast {
 public:
  // Returns the expected tokens of an attempt, at least 1 unless the estimate is 0.
  int64_t Of(int64_t estimate) const {
    if (estimated_ == 0) return estimate;
    const double share = std::min(taken_ / estimated_, kShareMax);
    return std::max<int64_t>(estimate > 0, static_cast<int64_t>(share * static_cast<double>(estimate)));
  }
  // An attempt with this estimate took `real` tokens.
  void Learn(int64_t estimate, int64_t real) {
    if (estimate <= 0 || real < 0) return;
    estimated_ = kKept * estimated_ + static_cast<double>(estimate);
    taken_ = kKept * taken_ + static_cast<double>(real);
  }

 private:
  static constexpr double kShareMax = 4;      // a real number beyond is an outlier of one answer
  static constexpr double kKept = 63.0 / 64;  // weight of the past: the newest 64 answers decide

  double estimated_ = 0;
  double taken_ = 0;
};

}  // namespace millrace
