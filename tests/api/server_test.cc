#include "server/api/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>

#include <cmath>
#include <filesystem>
#include <future>
#include <optional>
#include <set>
#include <thread>

#include <google/protobuf/descriptor.h>

#include "server/api/services.h"
#include "server/engine/requests/rpc_list.h"
#include "tests/api/server_fixture.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;

// Returns true if health reports a service as SERVING; nullopt if it does not know the service.
std::optional<bool> Serving(const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  // HealthCheckRequest{service = 1} encoded by hand, because gRPC ships no message for it.
  std::string request = name.empty() ? "" : std::string("\x0a") + static_cast<char>(name.size()) + name;
  grpc::Slice slice(request);
  grpc::ByteBuffer bytes(&slice, 1);
  grpc::ClientContext context;
  grpc::ByteBuffer answer;
  std::promise<grpc::Status> done;
  grpc::GenericStub stub(channel);
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &bytes, &answer,
                 [&](grpc::Status status) { done.set_value(std::move(status)); });
  const grpc::Status status = done.get_future().get();
  if (!status.ok()) return std::nullopt;
  grpc::Slice flat;
  EXPECT_TRUE(answer.DumpToSingleSlice(&flat).ok());
  return std::string(reinterpret_cast<const char*>(flat.begin()), flat.size()) == "\x08\x01";
}

TEST_F(ServerTest, EveryUnaryMethodReachesItsApi) {
  std::vector<std::string> expected;
#define MR_CALL(Service, Name)                                                                                  \
  {                                                                                                             \
    grpc::ClientContext context;                                                                                \
    v1::Name##Response response;                                                                                \
    const grpc::Status status = v1::Service::NewStub(channel_)->Name(&context, v1::Name##Request(), &response); \
    EXPECT_TRUE(status.ok()) << #Name << ": " << status.error_message();                                        \
    expected.push_back(#Name);                                                                                  \
  }
  MR_ALL_RPCS(MR_CALL)
#undef MR_CALL
  on_.Do([&] { EXPECT_EQ(on_.apis.calls, expected); });
}

TEST_F(ServerTest, TheListOfRpcsHasEveryUnaryMethodOfTheServices) {
  std::set<std::string> listed;
#define MR_LIST(Service, Name) listed.insert(v1::Service::service_full_name() + std::string(".") + #Name);
  MR_ALL_RPCS(MR_LIST)
#undef MR_LIST
  std::set<std::string> declared;
  for (const std::string& service : api::ServiceNames()) {
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    ASSERT_NE(descriptor, nullptr) << service;
    for (int i = 0; i < descriptor->method_count(); ++i) {
      if (!descriptor->method(i)->server_streaming()) declared.insert(descriptor->method(i)->full_name());
    }
  }
  EXPECT_EQ(listed, declared);
}

TEST_F(ServerTest, AWaitReturnsTheRunAtTheDeadline) {
  on_.Do([&] { on_.apis.run_state = v1::RUN_STATE_RUNNING; });
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 400ms);
  v1::WaitRunRequest request;
  request.set_run("r-test");
  v1::WaitRunResponse response;
  const grpc::Status status = runs_->WaitRun(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.run().state(), v1::RUN_STATE_RUNNING);
}

TEST_F(ServerTest, TheDeadlineReachesTheApiAsAPointInTime) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 95s);  // gRPC sends it rounded up, from 100 s on to seconds
  v1::GenerateResponse response;
  ASSERT_TRUE(completions_->Generate(&context, {}, &response).ok());
  on_.Do([&] {
    const Duration left = on_.apis.last_context.deadline - on_.loop.Now();
    EXPECT_GT(left, 85s);
    EXPECT_LT(left, 96s);
  });
  grpc::ClientContext without;
  ASSERT_TRUE(completions_->Generate(&without, {}, &response).ok());
  on_.Do([&] { EXPECT_EQ(on_.apis.last_context.deadline, kNever); });
}

// A time in milliseconds was stored, and then nobody could list runs as JSON.
TEST_F(ServerTest, AValueThatHasNoJsonIsRefusedAtTheDoor) {
  v1::CreateRunRequest request;
  request.mutable_as_of()->set_seconds(1'767'225'600'000);
  grpc::ClientContext context;
  v1::CreateRunResponse response;
  const grpc::Status status = runs_->CreateRun(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto details = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_TRUE(details);
  EXPECT_EQ(details->field_violations(0).field(), "as_of");
  v1::StreamGenerateRequest stream;
  stream.mutable_generate()->mutable_max_age()->set_nanos(-1'000'000'000);
  grpc::ClientContext streaming;
  const auto reader = completions_->StreamGenerate(&streaming, stream);
  v1::StreamGenerateResponse part;
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  on_.Do([&] { EXPECT_TRUE(on_.apis.calls.empty()); });
}

// One number that is not finite hid all other mistakes of a definition.
TEST_F(ServerTest, AValueThatHasNoJsonHidesNoMistakeOfTheDefinition) {
  on_.Do([&] {
    on_.apis.errors["ApplyPipeline"] =
        MakeFieldError(Reason::kInvalidDefinition, "two mistakes",
                       {{"name", "1 to 63 of a-z"}, {"stages[0].when.compare.less", "expected a number"}});
  });
  v1::Pipeline definition;
  definition.add_stages()->mutable_when()->mutable_compare()->set_less(std::nan(""));
  definition.add_stages()->mutable_when()->mutable_compare()->set_less(std::nan(""));
  const auto fields = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    std::vector<std::string> names;
    const auto details = DetailOf<google::rpc::BadRequest>(status);
    if (details) {
      for (const auto& each : details->field_violations()) names.push_back(each.field());
    }
    return names;
  };
  const auto all = testing::ElementsAre("name", "stages[0].when.compare.less", "stages[1].when.compare.less");
  v1::ApplyPipelineRequest apply;
  *apply.mutable_pipeline() = definition;
  grpc::ClientContext applying;
  v1::ApplyPipelineResponse applied;
  EXPECT_THAT(fields(pipelines_->ApplyPipeline(&applying, apply, &applied)), all);
  v1::CreateRunRequest create;
  *create.mutable_definition() = definition;
  grpc::ClientContext creating;
  v1::CreateRunResponse created;
  EXPECT_THAT(fields(runs_->CreateRun(&creating, create, &created)), all);
  on_.Do([&] {
    EXPECT_THAT(on_.apis.calls, testing::Each("ApplyPipeline")) << "the run was created";
    on_.apis.errors.clear();
  });
  // A definition that has no other mistake is refused all the same.
  grpc::ClientContext again;
  EXPECT_THAT(fields(pipelines_->ApplyPipeline(&again, apply, &applied)),
              testing::ElementsAre("pipeline.stages[0].when.compare.less", "pipeline.stages[1].when.compare.less"));
}

TEST_F(ServerTest, AServerThatEndsAnswersWhatIsFinishedAndCutsWaits) {
  on_.Do([&] {
    on_.apis.run_state = v1::RUN_STATE_RUNNING;
    on_.apis.parts = {"a"};
  });
  std::future<grpc::Status> waits = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::WaitRunResponse response;
    return runs_->WaitRun(&context, {}, &response);
  });
  grpc::ClientContext context;
  const auto reader = completions_->StreamGenerate(&context, {});
  v1::StreamGenerateResponse part;
  ASSERT_TRUE(reader->Read(&part));
  bool has_wait = false;
  while (!has_wait) on_.Do([&] { has_wait = !on_.apis.calls.empty(); });
  std::future<void> ended =
      std::async(std::launch::async, [&] { served_.server->AwaitAnswers(60s, api::Answers::kAll); });
  // New calls are refused; the answer that comes is given.
  grpc::Status refused;
  do {
    grpc::ClientContext late;
    v1::GetStatusResponse response;
    refused = admin_->GetStatus(&late, {}, &response);
  } while (refused.ok());
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  on_.Do([&] {
    v1::GenerateResponse answer;
    answer.set_text("a whole answer");
    on_.apis.answer = answer;
    on_.apis.Changed();
  });
  while (reader->Read(&part) && !part.has_answer()) continue;
  EXPECT_EQ(part.answer().text(), "a whole answer");
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_TRUE(reader->Finish().ok());
  ended.get();
  served_.server->Shutdown();
  EXPECT_EQ(waits.get().error_code(), grpc::StatusCode::UNAVAILABLE);
}

// The end of a server waited 3 s for answers that no call in flight could give any more.
TEST_F(ServerTest, AServerDoesNotWaitForAnswersThatCanNotCome) {
  on_.Do([&] {
    on_.apis.parts = {"a"};
    on_.apis.holds_generate = true;
  });
  std::future<grpc::Status> hangs = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::GenerateResponse response;
    return completions_->Generate(&context, {}, &response);
  });
  grpc::ClientContext context;
  const auto reader = completions_->StreamGenerate(&context, {});
  v1::StreamGenerateResponse part;
  ASSERT_TRUE(reader->Read(&part));
  bool is_held = false;
  while (!is_held) on_.Do([&] { is_held = on_.apis.held > 0; });
  const auto begin = std::chrono::steady_clock::now();
  served_.server->AwaitAnswers(60s, api::Answers::kMade);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
  served_.server->Shutdown();
  EXPECT_EQ(hangs.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  while (reader->Read(&part)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, ACancelledWaitEndsAndNothingElseDoes) {
  on_.Do([&] { on_.apis.run_state = v1::RUN_STATE_RUNNING; });
  grpc::ClientContext context;
  std::thread cancels([&] {
    bool waits = false;
    while (!waits) on_.Do([&] { waits = !on_.apis.calls.empty(); });
    context.TryCancel();
  });
  v1::WaitRunResponse response;
  EXPECT_EQ(runs_->WaitRun(&context, {}, &response).error_code(), grpc::StatusCode::CANCELLED);
  cancels.join();
  grpc::ClientContext next;
  v1::GetRunResponse run;
  EXPECT_TRUE(runs_->GetRun(&next, {}, &run).ok());
}

TEST_F(ServerTest, AGenerateWhoseClientLeavesIsStopped) {
  on_.Do([&] { on_.apis.holds_generate = true; });
  grpc::ClientContext context;
  std::thread cancels([&] {
    bool waits = false;
    while (!waits) on_.Do([&] { waits = on_.apis.last_context.left != nullptr; });
    context.TryCancel();
  });
  v1::GenerateResponse response;
  EXPECT_EQ(completions_->Generate(&context, {}, &response).error_code(), grpc::StatusCode::CANCELLED);
  cancels.join();
  bool stopped = false;
  while (!stopped) on_.Do([&] { stopped = on_.apis.last_context.left->stopped(); });
}

TEST_F(ServerTest, HealthReportsTheState) {
  EXPECT_EQ(Serving(channel_, ""), true);
  EXPECT_EQ(Serving(channel_, "millrace.v1.RunService"), true);
  EXPECT_EQ(Serving(channel_, "millrace.v1.Nothing"), std::nullopt);
  served_.server->SetNotServing();
  EXPECT_EQ(Serving(channel_, ""), false);
  EXPECT_EQ(Serving(channel_, "millrace.v1.AdminService"), false);
  served_.server->SetServing();
  EXPECT_EQ(Serving(channel_, "millrace.v1.AdminService"), true);
}

TEST_F(ServerTest, AServerThatIsNotReadyRefusesCallsForAMoment) {
  StatusOr<api::Listener> listener = api::Listener::Tcp("127.0.0.1:0");
  ASSERT_TRUE(listener.ok());
  const std::string target = "127.0.0.1:" + std::to_string(listener->port());
  std::vector<api::Listener> listeners;
  listeners.push_back(std::move(*listener));
  StatusOr<std::unique_ptr<api::Server>> server =
      api::Server::Start(on_.loop, on_.apis.apis(), std::move(listeners), {});
  ASSERT_TRUE(server.ok());
  const std::shared_ptr<grpc::Channel> channel = Connect(target);
  EXPECT_EQ(Serving(channel, ""), false);
  const auto stub = v1::AdminService::NewStub(channel);
  v1::GetStatusResponse response;
  grpc::ClientContext before;
  const grpc::Status status = stub->GetStatus(&before, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(status));
  (*server)->SetServing();
  EXPECT_EQ(Serving(channel, ""), true);
  grpc::ClientContext after;
  EXPECT_TRUE(stub->GetStatus(&after, {}, &response).ok());
}

TEST_F(ServerTest, TheSocketOfADirectoryServesLikeAPort) {
  std::string directory = testing::TempDir() + "server-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  StatusOr<api::Listener> listener = api::Listener::Unix(directory);
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::vector<api::Listener> listeners;
  listeners.push_back(std::move(*listener));
  StatusOr<std::unique_ptr<api::Server>> server =
      api::Server::Start(on_.loop, on_.apis.apis(), std::move(listeners), {});
  ASSERT_TRUE(server.ok());
  (*server)->SetServing();
  const auto stub = v1::RunService::NewStub(Connect("unix:" + directory + "/millrace.sock"));
  for (int i = 0; i < 3; ++i) {
    v1::AddItemsRequest request;
    request.set_data(std::string(3 << 20, 'x'));
    grpc::ClientContext context;
    v1::AddItemsResponse response;
    const grpc::Status status = stub->AddItems(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_EQ((*server)->Figures().accepted, 1);
  (*server)->Shutdown();
  EXPECT_FALSE(std::filesystem::exists(directory + "/millrace.sock"));
  std::filesystem::remove_all(directory);
}

TEST_F(ServerTest, AConnectionThatClosesIsForgotten) {
  const api::AcceptorFigures before = served_.server->Figures();
  for (int i = 0; i < 5; ++i) {
    grpc::ClientContext context;
    v1::GetStatusResponse response;
    EXPECT_TRUE(v1::AdminService::NewStub(Connect(target_))->GetStatus(&context, {}, &response).ok());
  }
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (served_.server->Figures().open > before.open && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  EXPECT_EQ(served_.server->Figures().open, before.open);
  EXPECT_EQ(served_.server->Figures().accepted, before.accepted + 5);
}

}  // namespace
}  // namespace millrace
