// Definitions that a whole server refuses, over gRPC.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "millrace/v1/pipeline_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using testing::UnorderedElementsAre;

template <typename Message>
Message FromJson(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text, &message).ok()) << text;
  return message;
}

// Returns `field: description` of each violation in an error's details.
std::vector<std::string> Violations(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  std::vector<std::string> violations;
  for (const auto& detail : details.details()) {
    google::rpc::BadRequest bad_request;
    if (!detail.UnpackTo(&bad_request)) continue;
    for (const auto& each : bad_request.field_violations())
      violations.push_back(each.field() + ": " + each.description());
  }
  return violations;
}

class DefinitionsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "millrace-definitions-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    CoordinatorOptions options;
    options.config = BuiltinServerConfig();
    options.config.set_data_dir((folder_ / "data").string());
    options.listen_tcp = false;
    auto coordinator = Coordinator::Start(std::move(options));
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    coordinator_ = *std::move(coordinator);
    channel_ = grpc::CreateChannel("unix:" + coordinator_->socket_path(), grpc::InsecureChannelCredentials());
  }
  void TearDown() override {
    channel_.reset();
    if (coordinator_) coordinator_->Drain(std::chrono::seconds(20));
    coordinator_.reset();
    fs::remove_all(folder_);
  }

  grpc::Status Apply(const std::string& definition) const {
    v1::ApplyPipelineRequest request = FromJson<v1::ApplyPipelineRequest>("{\"pipeline\": " + definition + "}");
    grpc::ClientContext context;
    v1::ApplyPipelineResponse response;
    return v1::PipelineService::NewStub(channel_)->ApplyPipeline(&context, request, &response);
  }
  grpc::Status Create(const std::string& request, v1::CreateRunResponse* response) const {
    grpc::ClientContext context;
    return v1::RunService::NewStub(channel_)->CreateRun(&context, FromJson<v1::CreateRunRequest>(request), response);
  }

  fs::path folder_;
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(DefinitionsTest, ApplyPipelineNamesEveryFaultAtOnce) {
  const grpc::Status refused = Apply(R"({
    "name": "Not A Name",
    "stages": [
      {"name": "in", "fetch": {"inline": {}}},
      {"name": "said", "needs": ["im"], "synthesize": {"model": "local", "prompt": "{{text | upper}}"}},
      {"name": "told", "needs": ["in"], "synthesize": {"model": "local", "prompt": "{{text}}", "outputSchema": "{\"type\": 5}"}},
      {"name": "told", "needs": ["in"], "prepare": {"rules": [{"extract": {"from": "a", "pattern": "(", "field": "b"}},
                                                              {"set": {"field": "c"}}]}},
      {"name": "kept", "needs": ["told"], "store": {}}],
    "measures": [{"name": "m", "mean": {"stage": "nowhere", "field": "x"}}]})");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(
      Violations(refused),
      UnorderedElementsAre(
          StartsWith("name: "), StartsWith("stages[3].name: "), StartsWith("stages[1].needs[0]: unknown stage \"im\""),
          AllOf(StartsWith("stages[1].synthesize.prompt: line 1, column 1: "), HasSubstr("write {{text}}")),
          StartsWith("stages[2].synthesize.output_schema: "),
          StartsWith("stages[3].prepare.rules[0].extract.pattern: "), StartsWith("stages[3].prepare.rules[1].set"),
          StartsWith("stages[4].store"), StartsWith("measures[0].mean.stage: unknown stage \"nowhere\"")));
}

TEST_F(DefinitionsTest, ItemsInARequestAreCheckedBeforeTheRunIsCreated) {
  const std::string request = R"({
    "definition": {"name": "greet", "stages": [
      {"name": "in", "fetch": {"inline": {}}},
      {"name": "said", "needs": ["in"], "synthesize": {"model": "local", "prompt": "{{txet}}"}}]},
    "wait": "60s",
    "items": {"in": {"items": [{"id": "a", "json": "{\"text\": \"Hello. More.\"}"}, {"id": "b", "json": "{}"}]}}})";
  v1::CreateRunResponse response;
  const grpc::Status refused = Create(request, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(Violations(refused),
              ElementsAre(AllOf(StartsWith("stages[1].synthesize.prompt: line 1, column 1: "),
                                HasSubstr("the first 2 items of \"in\""), HasSubstr("did you mean \"text\"?"))));
  grpc::ClientContext context;
  v1::ListRunsResponse runs;
  ASSERT_TRUE(v1::RunService::NewStub(channel_)->ListRuns(&context, v1::ListRunsRequest(), &runs).ok());
  EXPECT_EQ(runs.runs_size(), 0);
}

TEST_F(DefinitionsTest, ItemsThatComeLaterAreCheckedBeforeTheFirstCall) {
  v1::CreateRunResponse created;
  ASSERT_TRUE(Create(R"({"definition": {"name": "greet", "stages": [
      {"name": "in", "fetch": {"inline": {}}},
      {"name": "said", "needs": ["in"], "synthesize": {"model": "local", "prompt": "{{txet}}"}}]},
      "clientInputs": ["in"]})",
                     &created)
                  .ok());
  v1::AddItemsRequest add = FromJson<v1::AddItemsRequest>(
      R"({"stage": "in", "items": {"items": [{"id": "a", "json": "{\"text\": \"Hello. More.\"}"}]}})");
  add.set_run(created.run().name());
  grpc::ClientContext add_context;
  v1::AddItemsResponse added;
  const grpc::Status status = v1::RunService::NewStub(channel_)->AddItems(&add_context, add, &added);
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::WatchRunRequest watch;
  watch.set_run(created.run().name());
  grpc::ClientContext watch_context;
  auto events = v1::RunService::NewStub(channel_)->WatchRun(&watch_context, watch);
  v1::Run last;
  for (v1::WatchRunResponse event; events->Read(&event);) {
    if (event.event().has_state_changed()) last = event.event().state_changed().run();
  }
  EXPECT_EQ(last.state(), v1::RUN_STATE_FAILED);
  EXPECT_EQ(last.error().reason(), v1::ERROR_REASON_INVALID_DEFINITION);
  EXPECT_THAT(last.error().message(), AllOf(HasSubstr("the field \"txet\""), HasSubstr("did you mean \"text\"?")));
  ASSERT_EQ(last.stages_size(), 2);
  EXPECT_EQ(last.stages(1).calls(), 0);
}

}  // namespace
}  // namespace millrace
