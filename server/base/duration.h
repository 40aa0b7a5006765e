// Between the project's durations and protobuf's, which reach 10,000 years in both directions.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <cstdint>

#include "server/base/clock.h"

namespace millrace {

// The longest duration that can be added to every point in time: 146 years.
inline constexpr Duration kLongestDuration = Duration::max() / 2;

// What is longer than kLongestDuration, in either direction, counts as that: whatever a client sends, nothing wraps
// around.
inline Duration ToDuration(const google::protobuf::Duration& duration) {
  constexpr int64_t kSecondsMax = kLongestDuration.count() / 1'000'000'000;
  if (duration.seconds() >= kSecondsMax) return kLongestDuration;
  if (duration.seconds() <= -kSecondsMax) return -kLongestDuration;
  return Duration(duration.seconds() * 1'000'000'000 + duration.nanos());
}

inline google::protobuf::Duration FromDuration(Duration duration) {
  google::protobuf::Duration result;
  result.set_seconds(duration.count() / 1'000'000'000);
  result.set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
  return result;
}

inline void AddTo(google::protobuf::Duration& to, Duration duration) { to = FromDuration(ToDuration(to) + duration); }

}  // namespace millrace
