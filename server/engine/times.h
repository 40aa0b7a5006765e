// Between the project's times and durations and protobuf's.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

#include "server/base/clock.h"

namespace millrace {

inline google::protobuf::Timestamp ToTimestamp(int64_t micros) {
  google::protobuf::Timestamp time;
  const int64_t seconds = micros >= 0 ? micros / 1'000'000 : -((-micros + 999'999) / 1'000'000);
  time.set_seconds(seconds);
  time.set_nanos(static_cast<int32_t>((micros - seconds * 1'000'000) * 1000));
  return time;
}
inline int64_t ToMicros(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1000;
}
inline Duration ToDuration(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + Duration(duration.nanos());
}
inline google::protobuf::Duration FromDuration(Duration duration) {
  google::protobuf::Duration result;
  result.set_seconds(duration.count() / 1'000'000'000);
  result.set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
  return result;
}
inline void AddTo(google::protobuf::Duration& to, Duration duration) { to = FromDuration(ToDuration(to) + duration); }

}  // namespace millrace
