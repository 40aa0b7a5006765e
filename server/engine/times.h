// Converts between the project's times (microseconds since 1970) and protobuf's. Includes the conversions of durations.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cstdint>

#include "server/base/duration.h"

namespace millrace {

inline google::protobuf::Timestamp ToTimestamp(int64_t micros) {
  google::protobuf::Timestamp time;
  const int64_t seconds = micros >= 0 ? micros / 1'000'000 : -((-micros + 999'999) / 1'000'000);
  time.set_seconds(seconds);
  time.set_nanos(static_cast<int32_t>((micros - seconds * 1'000'000) * 1000));
  return time;
}

// A client's time may be any number: one before the year 1 or after 9999 becomes the first or last second of those
// years.
inline int64_t ToMicros(const google::protobuf::Timestamp& time) {
  constexpr int64_t kFirst = -62'135'596'800;
  constexpr int64_t kLast = 253'402'300'799;
  return std::clamp(time.seconds(), kFirst, kLast) * 1'000'000 + time.nanos() / 1000;
}

}  // namespace millrace
