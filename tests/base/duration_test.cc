#include "server/base/duration.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

google::protobuf::Duration Of(int64_t seconds, int32_t nanos = 0) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

TEST(DurationTest, ConvertsInBothDirections) {
  using std::chrono::nanoseconds;
  for (const nanoseconds duration : {nanoseconds(0), nanoseconds(1), nanoseconds(1'500'000'000),
                                     nanoseconds(-1'500'000'000), kLongestDuration, -kLongestDuration}) {
    EXPECT_EQ(ToDuration(FromDuration(duration)), duration);
  }
  EXPECT_EQ(ToDuration(Of(2, -500'000'000)), nanoseconds(1'500'000'000));
}

TEST(DurationTest, LimitsADurationThatIsTooLong) {
  for (const int64_t seconds : {int64_t{4'611'686'019}, int64_t{18'446'744'074}, int64_t{315'576'000'000}, INT64_MAX}) {
    EXPECT_EQ(ToDuration(Of(seconds)), kLongestDuration) << seconds;
    EXPECT_EQ(ToDuration(Of(-seconds)), -kLongestDuration) << seconds;
  }
  EXPECT_EQ(ToDuration(Of(INT64_MIN, INT32_MIN)), -kLongestDuration);
}

}  // namespace
}  // namespace millrace
