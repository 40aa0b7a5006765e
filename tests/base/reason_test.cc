#include "server/base/reason.h"

#include <gtest/gtest.h>

#include "millrace/v1/error_reason.pb.h"

namespace millrace {
namespace {

TEST(ReasonTest, EveryReasonHasTheNameAndNumberOfTheProto) {
  const google::protobuf::EnumDescriptor* reasons = v1::ErrorReason_descriptor();
  for (int i = 0; i < reasons->value_count(); ++i) {
    const google::protobuf::EnumValueDescriptor* value = reasons->value(i);
    if (value->number() == 0) continue;
    const std::string name = value->name().substr(std::string("ERROR_REASON_").size());
    const std::optional<Reason> reason = ReasonNamed(name);
    ASSERT_TRUE(reason.has_value()) << name;
    EXPECT_EQ(static_cast<int>(*reason), value->number()) << name;
    EXPECT_EQ(NameOf(*reason), name);
    EXPECT_NE(CodeOf(*reason), absl::StatusCode::kOk) << name;
  }
}

TEST(ReasonTest, AnUnknownNameHasNoReason) {
  EXPECT_EQ(ReasonNamed("NO_SUCH_REASON"), std::nullopt);
  EXPECT_EQ(ReasonNamed(""), std::nullopt);
}

}  // namespace
}  // namespace millrace
