// Effect of time on groups: the longest span of a group, and the decay of similarity with distance.
#pragma once

#include <cstdint>

namespace millrace {

// Span from the first to the last of some times, in microseconds since 1970. Unknown if first > last.
struct TimeSpan {
  int64_t first = INT64_MAX;
  int64_t last = INT64_MIN;

  bool known() const { return first <= last; }
  // Returns the smallest span that contains both.
  static TimeSpan Around(const TimeSpan& a, const TimeSpan& b);
  // Returns the distance between two spans; 0 if they overlap or one is unknown.
  static int64_t Gap(const TimeSpan& a, const TimeSpan& b);
};

// Rules of one stage.
struct TimeRules {
  int64_t window_micros = 0;     // longest span of a group; 0: no limit
  int64_t half_life_micros = 0;  // distance that halves a similarity; 0: no decay

  // Returns the largest gap at which `similarity` is still at least `least`; INT64_MAX if it always is.
  int64_t Reach(double similarity, double least) const;
  // Returns the factor, in [0, 1], of the similarity of two groups; 0 if they can't be in one group.
  double Factor(const TimeSpan& a, const TimeSpan& b) const;
};

}  // namespace millrace
