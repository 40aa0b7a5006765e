#include "server/base/status.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

using std::chrono_literals::operator""s;

TEST(StatusTest, KeepsReasonViolationsAndRetryThroughContext) {
  Status status = MakeFieldError(Reason::kInvalidDefinition, "2 fields are wrong",
                                 {{"stages[0].name", "expected a name"}, {"stages[1].needs", "no such stage"}});
  status = WithContext(WithRetryDelay(status, 3s), "run r-1");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition);
  EXPECT_EQ(MessageOf(status), "run r-1: 2 fields are wrong");
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[1].field, "stages[1].needs");
  EXPECT_EQ(violations[1].description, "no such stage");
  EXPECT_EQ(RetryDelayOf(status), Duration(3s));
}

TEST(StatusTest, AnErrorWithoutAReasonIsInternal) {
  EXPECT_EQ(ReasonOf(absl::UnknownError("x")), Reason::kInternal);
  EXPECT_EQ(ReasonOf(absl::OkStatus()), Reason::kNone);
  EXPECT_TRUE(ViolationsOf(absl::UnknownError("x")).empty());
  EXPECT_FALSE(RetryDelayOf(absl::UnknownError("x")).has_value());
}

TEST(StatusTest, AnErrorOfAPeerKeepsAnUnknownReason) {
  const Status status = ErrorFromPeer(absl::StatusCode::kAborted, "FROM_THE_FUTURE", "no", {});
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonNameOf(status), "FROM_THE_FUTURE");
  EXPECT_EQ(ReasonOf(status), Reason::kInternal);
  EXPECT_TRUE(HasReason(status));
  EXPECT_FALSE(HasReason(absl::UnknownError("x")));
}

TEST(StatusTest, ExcerptsAreShortAndSafeToPrint) {
  EXPECT_EQ(Excerpt("a\nb\x1b[31m"), "a\\nb\\x1b[31m");
  EXPECT_EQ(Excerpt("Zürich €"), "Zürich €");
  EXPECT_EQ(Excerpt("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Excerpt("\xc2\x9b"
                    "31m \xc2\xa9"),
            "\\xc2\\x9b31m \xc2\xa9");  // the C1 control is escaped, © is not
  EXPECT_EQ(Excerpt(std::string(100, 'x'), 10), std::string(10, 'x') + "…");
  EXPECT_EQ(Excerpt("äöü", 4), "äö…");  // never cuts inside a character
}

}  // namespace
}  // namespace millrace
