// A whole server whose traces go to a small OTLP receiver.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "millrace/v1/completion_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"
#include "server/trace/trace_context.h"
#include "tests/otlp/receiver.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using Span = otlp::OtlpReceiver::Span;

constexpr char kTraceId[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kRequest[] = R"({
  "definition": {"name": "greet", "stages": [
    {"name": "in", "fetch": {"inline": {}}},
    {"name": "said", "needs": ["in"], "synthesize": {"model": "local", "prompt": "{{text}}"}}]},
  "wait": "60s",
  "items": {"in": {"items": [{"id": "a", "json": "{\"text\": \"Hello. More.\"}"},
                             {"id": "b", "json": "{\"text\": \"Good bye. More.\"}"}]}}})";

std::string TextOf(const Span& span, std::string_view key) {
  for (const auto& attribute : span.attributes()) {
    if (attribute.key() == key) return attribute.value().string_value();
  }
  return "";
}

class ServerTracesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "millrace-traces-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Start(const std::string& endpoint) {
    CoordinatorOptions options;
    options.config = BuiltinServerConfig();
    options.config.set_data_dir((folder_ / "data").string());
    options.config.mutable_tracing()->set_endpoint(endpoint);
    options.listen_tcp = false;
    auto coordinator = Coordinator::Start(std::move(options));
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    coordinator_ = *std::move(coordinator);
    channel_ = grpc::CreateChannel("unix:" + coordinator_->socket_path(), grpc::InsecureChannelCredentials());
  }
  // Runs the pipeline for two items.
  v1::Run Run() {
    v1::CreateRunRequest request;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(kRequest, &request).ok());
    grpc::ClientContext context;
    context.AddMetadata("traceparent", kParent);
    v1::CreateRunResponse response;
    const grpc::Status status = v1::RunService::NewStub(channel_)->CreateRun(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.run();
  }
  void End() {
    channel_.reset();
    coordinator_->Drain(std::chrono::seconds(20));
    coordinator_.reset();
  }

  fs::path folder_;
  otlp::OtlpReceiver receiver_;
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ServerTracesTest, ARunAndItsItemsArriveWithTheirParentsAndLinks) {
  Start("http://" + receiver_.address());
  const v1::Run run = Run();
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED);
  End();
  std::map<std::string, std::vector<Span>> by_name;
  for (const Span& span : receiver_.spans()) by_name[span.name()].push_back(span);
  for (const char* name :
       {"millrace.v1.RunService/CreateRun", "create run greet", "run greet", "stage in", "stage said"}) {
    EXPECT_EQ(by_name[name].size(), 1u) << name;
  }
  ASSERT_EQ(by_name["item said"].size(), 2u);
  ASSERT_FALSE(by_name["run greet"].empty());
  const Span& episode = by_name["run greet"][0];
  const std::string run_id = trace::Bytes(trace::NamedTraceId({}, "run " + run.name()));
  EXPECT_EQ(episode.trace_id(), run_id);
  EXPECT_EQ(TextOf(episode, "millrace.run"), run.name());
  const Span& rpc = by_name["millrace.v1.RunService/CreateRun"][0];
  EXPECT_EQ(rpc.trace_id(), trace::Bytes(trace::ReadTraceContext({kParent}, {})->trace));
  EXPECT_EQ(rpc.parent_span_id(), "\xb7\xad\x6b\x71\x69\x20\x33\x31");
  const Span& creating = by_name["create run greet"][0];
  EXPECT_EQ(creating.parent_span_id(), rpc.span_id());
  ASSERT_EQ(creating.links_size(), 1);
  EXPECT_EQ(creating.links(0).span_id(), episode.span_id());
  EXPECT_EQ(creating.links(0).trace_id(), run_id);
  const Span& stage = by_name["stage said"][0];
  EXPECT_EQ(stage.parent_span_id(), episode.span_id());
  EXPECT_EQ(stage.trace_id(), run_id);
  std::set<std::string> ids;
  for (const Span& item : by_name["item said"]) {
    ids.insert(TextOf(item, "millrace.item.id"));
    EXPECT_NE(item.trace_id(), run_id);
    ASSERT_EQ(item.links_size(), 1);
    EXPECT_EQ(item.links(0).span_id(), stage.span_id());
  }
  EXPECT_EQ(ids, (std::set<std::string>{"a", "b"}));
  // Every span but the roots has its parent.
  std::set<std::string> all;
  for (const Span& span : receiver_.spans()) all.insert(span.trace_id() + span.span_id());
  for (const Span& span : receiver_.spans()) {
    if (span.parent_span_id().empty() || span.span_id() == rpc.span_id()) continue;
    EXPECT_TRUE(all.contains(span.trace_id() + span.parent_span_id())) << span.name();
  }
  EXPECT_EQ(receiver_.origin().resource_spans(0).resource().attributes_size(), 8);
}

TEST_F(ServerTracesTest, GenerateIsPartOfItsClientsTrace) {
  Start("http://" + receiver_.address());
  grpc::ClientContext context;
  context.AddMetadata("traceparent", kParent);
  v1::GenerateRequest request;
  request.set_model("local");
  v1::Message& message = *request.add_messages();
  message.set_role("user");
  message.set_content("Hello. More.");
  v1::GenerateResponse response;
  const grpc::Status status = v1::CompletionService::NewStub(channel_)->Generate(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  End();
  std::set<std::string> names;
  for (const Span& span : receiver_.spans()) {
    names.insert(span.name());
    EXPECT_EQ(span.trace_id(), trace::Bytes(trace::ReadTraceContext({kParent}, {})->trace)) << kTraceId;
    for (const auto& attribute : span.attributes()) {
      EXPECT_THAT(attribute.value().string_value(), testing::Not(testing::HasSubstr("Hello"))) << attribute.key();
    }
  }
  EXPECT_THAT(names,
              testing::IsSupersetOf({"millrace.v1.CompletionService/Generate", "call local", "look up", "validate"}));
}

TEST_F(ServerTracesTest, AReceiverThatIsNotThereIsNoticedByNobody) {
  Start("http://127.0.0.1:1");
  EXPECT_EQ(Run().state(), v1::RUN_STATE_SUCCEEDED);
  End();
  EXPECT_TRUE(receiver_.spans().empty());
}

}  // namespace
}  // namespace millrace
