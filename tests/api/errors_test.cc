#include <gmock/gmock.h>

#include "tests/api/server_fixture.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using ::testing::StartsWith;

using ErrorsTest = ServerTest;

TEST_F(ErrorsTest, AnErrorArrivesWithItsDetails) {
  on_.Do([&] {
    on_.apis.errors["GetRun"] = MakeError(Reason::kRunNotFound, "no run r-x");
    on_.apis.errors["CreateRun"] =
        WithRetryDelay(MakeError(Reason::kDiskLow, "12 MiB free, 256 MiB kept free"), 1500ms);
    on_.apis.errors["ApplyPipeline"] =
        MakeFieldError(Reason::kInvalidDefinition, "2 fields are wrong",
                       {{"stages[0].name", "expected a name"}, {"stages[1]", "no kind"}});
  });
  {
    grpc::ClientContext context;
    v1::GetRunResponse response;
    const grpc::Status status = runs_->GetRun(&context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(status.error_message(), "no run r-x");
    const auto info = DetailOf<google::rpc::ErrorInfo>(status);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->reason(), "RUN_NOT_FOUND");
    EXPECT_EQ(info->domain(), "millrace");
    EXPECT_FALSE(DetailOf<google::rpc::RetryInfo>(status));
  }
  {
    grpc::ClientContext context;
    v1::CreateRunResponse response;
    const grpc::Status status = runs_->CreateRun(&context, {}, &response);
    const auto retry = DetailOf<google::rpc::RetryInfo>(status);
    ASSERT_TRUE(retry);
    EXPECT_EQ(retry->retry_delay().seconds(), 1);
    EXPECT_EQ(retry->retry_delay().nanos(), 500'000'000);
  }
  {
    grpc::ClientContext context;
    v1::ApplyPipelineResponse response;
    const grpc::Status status = pipelines_->ApplyPipeline(&context, {}, &response);
    const auto bad = DetailOf<google::rpc::BadRequest>(status);
    ASSERT_TRUE(bad);
    ASSERT_EQ(bad->field_violations_size(), 2);
    EXPECT_EQ(bad->field_violations(1).field(), "stages[1]");
  }
}

TEST_F(ErrorsTest, TheLongestErrorStillFitsIntoTheTrailer) {
  std::vector<FieldViolation> violations(100, {std::string(500, 'f'), std::string(1000, 'd')});
  std::string message;
  while (message.size() < 1000) message += "ü";
  on_.Do([&] { on_.apis.errors["ApplyPipeline"] = MakeFieldError(Reason::kInvalidDefinition, message, violations); });
  grpc::ClientContext context;
  v1::ApplyPipelineResponse response;
  const grpc::Status status = pipelines_->ApplyPipeline(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_LE(status.error_details().size(), 4096u);
  const auto bad = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad);
  EXPECT_THAT(bad->field_violations().rbegin()->description(), StartsWith("and 9"));
}

TEST_F(ErrorsTest, ABugIsReportedAsAnIncidentOnly) {
  on_.Do([&] { on_.apis.errors["GetRun"] = absl::InternalError("secret /path"); });
  grpc::ClientContext context;
  v1::GetRunResponse response;
  const grpc::Status status = runs_->GetRun(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), StartsWith("internal error, incident "));
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status)->reason(), "INTERNAL");
}

}  // namespace
}  // namespace millrace
