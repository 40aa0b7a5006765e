// Fixture for tests that call a server of fake APIs as a client.
#pragma once

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "millrace/v1/admin_service.grpc.pb.h"
#include "millrace/v1/completion_service.grpc.pb.h"
#include "millrace/v1/pipeline_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"
#include "tests/api/served.h"

namespace millrace {

// Returns the detail of this type in an error.
template <typename Detail>
std::optional<Detail> DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const auto& any : details.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

class ServerTest : public testing::Test {
 protected:
  Served served_{{.max_message_bytes = 1 << 20}};
  LoopThread& on_ = served_.on;
  const std::string target_ = served_.target();
  const std::shared_ptr<grpc::Channel> channel_ = Connect(target_);
  const std::unique_ptr<v1::RunService::Stub> runs_ = v1::RunService::NewStub(channel_);
  const std::unique_ptr<v1::PipelineService::Stub> pipelines_ = v1::PipelineService::NewStub(channel_);
  const std::unique_ptr<v1::AdminService::Stub> admin_ = v1::AdminService::NewStub(channel_);
  const std::unique_ptr<v1::CompletionService::Stub> completions_ = v1::CompletionService::NewStub(channel_);
};

}  // namespace millrace
