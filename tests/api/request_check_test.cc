#include "server/api/request_check.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "millrace/v1/completion_service.pb.h"
#include "millrace/v1/pipeline_service.pb.h"
#include "millrace/v1/run_service.pb.h"

namespace millrace::api {
namespace {

using testing::HasSubstr;

std::string FieldOf(const google::protobuf::Message& request) {
  const Status status = CheckRequest(request);
  if (status.ok()) return "";
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidField);
  return ViolationsOf(status).front().field;
}

TEST(RequestCheckTest, ATimeMustBeInTheYearsOneToNineThousand) {
  v1::CreateRunRequest request;
  EXPECT_EQ(FieldOf(request), "");
  for (const int64_t seconds : {int64_t{0}, int64_t{-62'135'596'800}, int64_t{253'402'300'799}}) {
    request.mutable_as_of()->set_seconds(seconds);
    EXPECT_EQ(FieldOf(request), "") << seconds;
  }
  for (const int64_t seconds : {int64_t{-62'135'596'801}, int64_t{253'402'300'800}, INT64_MAX, INT64_MIN}) {
    request.mutable_as_of()->set_seconds(seconds);
    EXPECT_EQ(FieldOf(request), "as_of") << seconds;
  }
  request.mutable_as_of()->set_seconds(1'767'225'600'000);
  EXPECT_THAT(std::string(MessageOf(CheckRequest(request))), HasSubstr("are they milliseconds?"));
  request.mutable_as_of()->set_seconds(1);
  for (const int32_t nanos : {-1, 1'000'000'000}) {
    request.mutable_as_of()->set_nanos(nanos);
    EXPECT_EQ(FieldOf(request), "as_of") << nanos;
  }
}

TEST(RequestCheckTest, ADurationHasOneSignAndTenThousandYears) {
  v1::CreateRunRequest request;
  request.mutable_wait()->set_seconds(315'576'000'000);
  EXPECT_EQ(FieldOf(request), "");
  request.mutable_wait()->set_seconds(315'576'000'001);
  EXPECT_EQ(FieldOf(request), "wait");
  request.mutable_wait()->set_seconds(-1);
  request.mutable_wait()->set_nanos(1);
  EXPECT_EQ(FieldOf(request), "wait");
  request.mutable_wait()->set_nanos(-1);
  EXPECT_EQ(FieldOf(request), "wait") << "no request waits for a negative time";
  request.mutable_wait()->set_nanos(-1'000'000'000);
  EXPECT_EQ(FieldOf(request), "wait");
}

TEST(RequestCheckTest, AnEnumHasTheValue) {
  v1::ListRunsRequest request;
  request.add_states(v1::RUN_STATE_PAUSED);
  EXPECT_EQ(FieldOf(request), "");
  for (const int number : {99, -1}) {
    request.set_states(0, static_cast<v1::RunState>(number));
    EXPECT_EQ(FieldOf(request), "states[0]") << number;
  }
  v1::RedriveRunRequest redrive;
  redrive.set_reason(static_cast<v1::ErrorReason>(9999));
  EXPECT_EQ(FieldOf(redrive), "reason");
}

TEST(RequestCheckTest, NumbersAreFinite) {
  v1::CreateRunRequest request;
  (*request.mutable_parameters())["share"].set_float_(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(FieldOf(request), "parameters.share.float");
  v1::GenerateRequest generate;
  generate.set_temperature(std::numeric_limits<double>::infinity());
  EXPECT_EQ(FieldOf(generate), "temperature");
}

TEST(RequestCheckTest, EveryWrongFieldIsNamedAtAnyDepth) {
  v1::CreateRunRequest request;
  v1::Pipeline& pipeline = *request.mutable_definition();
  pipeline.add_stages()->set_name("a");
  v1::Stage& stage = *pipeline.add_stages();
  v1::Condition& condition = *stage.mutable_when();
  condition.mutable_compare()->set_less(std::numeric_limits<double>::quiet_NaN());
  stage.mutable_cluster()->mutable_time_window()->set_nanos(2'000'000'000);
  request.mutable_as_of()->set_nanos(-1);
  const std::vector<FieldViolation> violations = ViolationsOf(CheckRequest(request));
  std::vector<std::string> fields;
  for (const FieldViolation& violation : violations) fields.push_back(violation.field);
  EXPECT_THAT(fields, testing::UnorderedElementsAre("definition.stages[1].when.compare.less",
                                                    "definition.stages[1].cluster.time_window", "as_of"));
}

TEST(RequestCheckTest, AThousandWrongFieldsAreAHundredViolations) {
  v1::CreateRunRequest request;
  for (int i = 0; i < 1000; ++i) {
    (*request.mutable_parameters())[std::to_string(i)].set_float_(std::numeric_limits<double>::infinity());
  }
  EXPECT_EQ(ViolationsOf(CheckRequest(request)).size(), 100u);
}

}  // namespace
}  // namespace millrace::api
