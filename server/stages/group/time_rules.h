// How time counts when items are grouped: the span that a group may have, and how similarity fades with distance.
#pragma once

#include <cstdint>

namespace millrace {

// From the first to the last of some times, in microseconds since 1970. Nothing known: first > last.
struct TimeSpan {
  int64_t first = INT64_MAX;
  int64_t last = INT64_MIN;

  bool known() const { return first <= last; }
  // The smallest span with both in it.
  static TimeSpan Around(const TimeSpan& a, const TimeSpan& b);
  // Between the two; 0 where they overlap or one is not known.
  static int64_t Gap(const TimeSpan& a, const TimeSpan& b);
};

struct TimeRules {
  int64_t window_micros = 0;     // longest span of a group; 0: no limit
  int64_t half_life_micros = 0;  // distance that halves a similarity; 0: distance does not count

  // The largest gap at which `similarity` is still at least `least`; INT64_MAX: at any.
  int64_t Reach(double similarity, double least) const;
  // What a similarity of the two is multiplied by; 0: they can't be in one group.
  double Factor(const TimeSpan& a, const TimeSpan& b) const;
};

}  // namespace millrace
