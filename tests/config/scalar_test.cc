#include "server/config/scalar.h"

#include <gtest/gtest.h>

#include "server/text/nearest.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;

TEST(ScalarTest, KindsAreThoseOfYaml12WithoutItsSurprises) {
  const auto expect = [](ScalarKind kind, std::initializer_list<const char*> texts) {
    for (const char* text : texts) EXPECT_EQ(KindOf(text), kind) << text;
  };
  expect(ScalarKind::kBoolean, {"true", "false", "True", "FALSE"});
  expect(ScalarKind::kInteger, {"0", "-1", "+12", "99999999999999999999"});
  expect(ScalarKind::kNumber, {"0.5", ".5", "5.", "1e3", "-1.5E-3"});
  expect(ScalarKind::kPercentage, {"5%", "0.5%", "100%"});
  expect(ScalarKind::kDuration, {"30s", "1h30m", "500ms", "1.5s", "14d", "0s"});
  expect(ScalarKind::kAmbiguous, {"007", "0x1f", "0o17", "0b1", ".inf", "-.INF", ".nan", "-010", "00.5"});
  expect(ScalarKind::kText,
         {"yes", "no", "on",   "off",    "y",  "n", "1_000", "1:30", "2024-01-01", "1.2.3", "30S", "1m1h",
          "%",   "",   "-30s", "1e400x", "0x", "-", "+",     ".",    "1h 30m",     "e5",    "tRue"});
}

TEST(ScalarTest, ReadsDurations) {
  EXPECT_EQ(ParseDuration("1h30m"), 90min);
  EXPECT_EQ(ParseDuration("1.5s"), 1500ms);
  EXPECT_EQ(ParseDuration("2d"), 48h);
  EXPECT_EQ(ParseDuration("10000d"), 240000h);
  for (const char* text : {"10001d", "1", "s", "1s1s", "1x", "", "99999999999999999999s", "1e3s"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
  for (const Duration duration :
       {Duration(0), Duration(1), Duration(1500ms), Duration(30s), Duration(90min), Duration(720h)}) {
    EXPECT_EQ(ParseDuration(FormatDuration(duration)), duration) << FormatDuration(duration);
  }
  EXPECT_EQ(FormatDuration(90min), "90m");
}

TEST(ScalarTest, ReadsSizesAndShares) {
  EXPECT_EQ(ParseInteger("10MiB"), 10 << 20);
  EXPECT_EQ(ParseInteger("2GB"), 2'000'000'000);
  EXPECT_EQ(ParseInteger("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(ParseUnsigned("18446744073709551615"), UINT64_MAX);
  for (const char* text :
       {"9223372036854775808", "8388608TiB", "1.5", "1e3", "10 MiB", "10mib", "MiB", "0x10", "010", ""}) {
    EXPECT_FALSE(ParseInteger(text)) << text;
  }
  EXPECT_FALSE(ParseUnsigned("-1"));
  EXPECT_EQ(ParseNumber("7%"), 0.07);
  EXPECT_EQ(ParseNumber("+.5"), 0.5);
  EXPECT_EQ(ParseNumber("5."), 5);
  for (const char* text : {"1e400", "nan", "inf", "0x1p3", "1e3%", "%", "1 %", "1,5", "010"})
    EXPECT_FALSE(ParseNumber(text)) << text;
}

TEST(NearestNameTest, IsFoundWithinAThirdOfTheLength) {
  const std::vector<std::string> names = {"threshold", "min_size", "name", "id"};
  EXPECT_EQ(NearestName("treshold", names), "threshold");
  EXPECT_EQ(NearestName("minsize", names), "min_size");
  EXPECT_EQ(NearestName("nmae", names), "name");
  EXPECT_EQ(NearestName("di", names), "id");
  EXPECT_EQ(NearestName("x", names), "");
  EXPECT_EQ(NearestName("something", names), "");
  EXPECT_EQ(NearestName(std::string(10'000, 'a'), names), "");
}

}  // namespace
}  // namespace millrace
