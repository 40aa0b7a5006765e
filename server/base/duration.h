// Conversion between the project's durations and protobuf's, which reach 10,000 years in both directions.
#pragma once

#include <google/protobuf/duration.pb.h>

#include <cstdint>

#include "server/base/clock.h"

namespace millrace {

// Longest duration that can be added to a point in time without overflow: 146 years.
inline constexpr Duration kLongestDuration = Duration::max() / 2;

// Returns the duration, limited to kLongestDuration in both directions, so that no value of a client overflows.
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

// Adds `duration` to `to`.
inline void AddTo(google::protobuf::Duration& to, Duration duration) { to = FromDuration(ToDuration(to) + duration); }

}  // namespace millrace
