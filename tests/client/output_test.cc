#include "client/cli/output.h"

#include <gmock/gmock.h>

namespace millrace::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

google::protobuf::Duration For(int64_t seconds, int32_t nanos = 0) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

TEST(SafeTest, NothingControlsATerminal) {
  EXPECT_EQ(Safe("plain Ünïcode 中文 🙂"), "plain Ünïcode 中文 🙂");
  EXPECT_EQ(Safe("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(Safe("a\nb\tc\rd\x7f"), "a\\nb\\tc\\x0dd\\x7f");
  EXPECT_EQ(Safe("\xc2\x9b"
                 "2J"),
            "\\x9b2J");  // C1's CSI
  EXPECT_EQ(Safe("\xe2\x80\xae"
                 "gnp.exe"),
            "\\u{202e}gnp.exe");  // right-to-left override
  EXPECT_EQ(Safe("a\xe2\x80\x8b"
                 "b"),
            "a\\u{200b}b");                            // invisible character
  EXPECT_EQ(Safe("\xff\xc0\x80"), "\\xff\\xc0\\x80");  // not UTF-8
  EXPECT_EQ(Safe(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(SafeTest, EveryByteAndPairOfBytesComesOutHarmless) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text = {static_cast<char>(a), static_cast<char>(b)};
      const std::string safe = Safe(text);
      for (const char c : safe) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << a << " " << b;
      EXPECT_EQ(Safe(safe), safe) << a << " " << b;  // escaping is idempotent
    }
  }
}

TEST(SafeTest, CutsAtAWholeCharacter) {
  EXPECT_EQ(Safe("abcdef", 3), "abc…");
  EXPECT_EQ(Safe("abc", 3), "abc");
  EXPECT_EQ(Safe("aé", 2), "a…");
  EXPECT_EQ(Safe("ab\x1b", 4), "ab…");  // an escape sequence is never cut
}

TEST(TableTest, ColumnsAreAsWideAsTheirCells) {
  EXPECT_EQ(Table({{"ID", "TEXT"}, {"a-1", "x"}, {"é", "a longer one"}}),
            "ID   TEXT\n"
            "a-1  x\n"
            "é    a longer one\n");
  EXPECT_EQ(Table({{"A", "B"}, {"中文", "x"}}), "A     B\n中文  x\n");
}

TEST(TableTest, CellsAreEscaped) { EXPECT_EQ(Table({{"A"}, {"x\x1b]0;owned\x07"}}), "A\nx\\x1b]0;owned\\x07\n"); }

TEST(OutputTest, CountsHaveCommas) {
  EXPECT_EQ(Count(0), "0");
  EXPECT_EQ(Count(999), "999");
  EXPECT_EQ(Count(7483), "7,483");
  EXPECT_EQ(Count(1000000), "1,000,000");
  EXPECT_EQ(Count(-1234), "-1,234");
  EXPECT_EQ(Count(-123), "-123");
  EXPECT_EQ(Count(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(OutputTest, TimesShowTheirSignificantDigits) {
  EXPECT_EQ(Seconds(For(0, 12'345'678)), "0.01");
  EXPECT_EQ(Seconds(For(3, 249'000'000)), "3.2");
  EXPECT_EQ(LongTime(For(0, 35'400'000)), "35 ms");
  EXPECT_EQ(LongTime(For(3, 249'000'000)), "3.2 s");
  EXPECT_EQ(LongTime(For(99, 960'000'000)), "1 min 40 s");
  EXPECT_EQ(LongTime(For(245)), "4 min 05 s");
  EXPECT_EQ(LongTime(For(7380)), "2 h 03 min");
  EXPECT_EQ(LongTime(For(3 * 86400 + 4 * 3600)), "3 days 04 h");
  google::protobuf::Timestamp time;
  EXPECT_EQ(Time(time), "-");
  time.set_seconds(1'795'257'099);
  EXPECT_EQ(Time(time), "2026-11-21 10:31:39 UTC");
}

TEST(OutputTest, AnUnknownCostIsNotZero) {
  EXPECT_EQ(Cost(0, 0), "$0.00");
  EXPECT_EQ(Cost(12'300'000, 0), "$0.0123");
  EXPECT_EQ(Cost(12'300'000, 1), "unpriced");
}

TEST(OutputTest, UnknownValuesOfANewerServerAreHarmless) {
  EXPECT_EQ(StateName(v1::RUN_STATE_PAUSED), "PAUSED");
  EXPECT_EQ(StateName(static_cast<v1::RunState>(4711)), "UNKNOWN");
  EXPECT_EQ(StateName(static_cast<v1::ItemState>(4711)), "UNKNOWN");
  EXPECT_EQ(ReasonName(static_cast<v1::ErrorReason>(4711)), "UNKNOWN");
  EXPECT_EQ(WaitName(static_cast<v1::WaitingOn::Reason>(4711)), "UNKNOWN");
  EXPECT_EQ(OutcomeName(static_cast<v1::AttemptOutcome>(4711)), "UNKNOWN");
}

TEST(ErrorTest, NamesTheReasonAndEachWrongFieldAndEscapesThem) {
  const Status status = MakeFieldError(Reason::kInvalidField, "two are wrong",
                                       {{"parameters.n", "must be at least 1"}, {"", "and \xe2\x80\xae this"}});
  EXPECT_EQ(ErrorText(status),
            "millrace: two are wrong (INVALID_FIELD)\n  parameters.n: must be at least 1\n  and \\u{202e} this\n");
  EXPECT_THAT(ErrorText(absl::UnknownError("evil \x1b[31m")), Not(HasSubstr("\x1b")));
  const Status later = WithRetryDelay(MakeError(Reason::kDraining, "going down"), std::chrono::milliseconds(1500));
  EXPECT_THAT(ErrorText(later), HasSubstr("try again in 1.5 s"));
}

TEST(ErrorTest, ExitStatusesSayWhoMustAct) {
  EXPECT_EQ(ExitOf(MakeError(Reason::kInvalidField, "")), 2);
  EXPECT_EQ(ExitOf(MakeError(Reason::kRunNotFound, "")), 2);
  EXPECT_EQ(ExitOf(MakeError(Reason::kWrongRunState, "")), 2);
  EXPECT_EQ(ExitOf(MakeError(Reason::kFileNotAllowed, "")), 2);
  EXPECT_EQ(ExitOf(MakeError(Reason::kDraining, "")), 5);
  EXPECT_EQ(ExitOf(absl::UnavailableError("")), 5);
  EXPECT_EQ(ExitOf(MakeError(Reason::kTargetFailed, "")), 1);
  EXPECT_EQ(ExitOf(MakeError(Reason::kRefusal, "")), 1);
  EXPECT_EQ(ExitOf(absl::CancelledError("")), 130);
  EXPECT_EQ(ExitOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitOf(MakeError(Reason::kDiskLow, "")), 1);
}

TEST(JsonTest, IsTheMessageAloneOnStandardOutput) {
  v1::Item item;
  item.set_id("a\x1b[2J");
  item.set_json(R"({"big":9007199254740993})");
  testing::internal::CaptureStdout();
  PrintJson(item, Layout::kLine);
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "{\"id\":\"a\\u001b[2J\",\"json\":\"{\\\"big\\\":9007199254740993}\"}\n");
}

}  // namespace
}  // namespace millrace::cli
