#include "server/stages/group/time_rules.h"

#include <algorithm>
#include <cmath>

namespace millrace {

TimeSpan TimeSpan::Around(const TimeSpan& a, const TimeSpan& b) {
  return {std::min(a.first, b.first), std::max(a.last, b.last)};
}

int64_t TimeSpan::Gap(const TimeSpan& a, const TimeSpan& b) {
  if (!a.known() || !b.known()) return 0;
  return std::max<int64_t>(0, std::max(a.first, b.first) - std::min(a.last, b.last));
}

int64_t TimeRules::Reach(double similarity, double least) const {
  // A longer window exceeds the distance of all dates and could overflow, so it counts as unlimited.
  constexpr int64_t kFar = INT64_MAX / 4;
  int64_t reach = window_micros > 0 && window_micros < kFar ? window_micros : INT64_MAX;
  if (half_life_micros > 0 && least > 0) {
    const double lives = std::max(0.0, std::log2(similarity / least));
    const double micros = std::ceil(lives * static_cast<double>(half_life_micros)) + 1;
    if (micros < static_cast<double>(std::min(reach, kFar))) reach = static_cast<int64_t>(micros);
  }
  return reach;
}

double TimeRules::Factor(const TimeSpan& a, const TimeSpan& b) const {
  if (!a.known() || !b.known()) return 1;
  const TimeSpan both = TimeSpan::Around(a, b);
  if (window_micros > 0 && both.last - both.first > window_micros) return 0;
  if (half_life_micros <= 0) return 1;
  return std::exp2(-static_cast<double>(TimeSpan::Gap(a, b)) / static_cast<double>(half_life_micros));
}

}  // namespace millrace
