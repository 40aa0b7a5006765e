#include "server/api/server.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "millrace/v1/admin_service.grpc.pb.h"
#include "millrace/v1/completion_service.grpc.pb.h"
#include "millrace/v1/pipeline_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"
#include "tests/api/fake_service.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    StatusOr<api::Listener> listener = api::Listener::Tcp("127.0.0.1:0");
    EXPECT_TRUE(listener.ok()) << listener.status();
    target_ = "127.0.0.1:" + std::to_string(listener->port());
    std::vector<api::Listener> listeners;
    listeners.push_back(std::move(*listener));
    StatusOr<std::unique_ptr<api::Server>> server =
        api::Server::Start(on_.loop, on_.service, std::move(listeners), {.max_message_bytes = 1 << 20});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    server_->SetServing();
    channel_ = Connect(target_);
    runs_ = v1::RunService::NewStub(channel_);
    pipelines_ = v1::PipelineService::NewStub(channel_);
    admin_ = v1::AdminService::NewStub(channel_);
    completions_ = v1::CompletionService::NewStub(channel_);
  }

  // Whether health calls a service SERVING; nullopt where it does not know it.
  std::optional<bool> Serving(const std::string& name) {
    // HealthCheckRequest{service = 1} by hand: gRPC ships no message for it.
    std::string request = name.empty() ? "" : std::string("\x0a") + static_cast<char>(name.size()) + name;
    grpc::Slice slice(request);
    grpc::ByteBuffer bytes(&slice, 1);
    grpc::ClientContext context;
    grpc::ByteBuffer answer;
    std::promise<grpc::Status> done;
    grpc::GenericStub stub(channel_);
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &bytes, &answer,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    if (!status.ok()) return std::nullopt;
    grpc::Slice flat;
    EXPECT_TRUE(answer.DumpToSingleSlice(&flat).ok());
    return std::string(reinterpret_cast<const char*>(flat.begin()), flat.size()) == "\x08\x01";
  }

  static v1::RunEvent Event(int64_t number) {
    v1::RunEvent event;
    event.set_number(number);
    return event;
  }

  LoopThread on_;
  std::unique_ptr<api::Server> server_;
  std::string target_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RunService::Stub> runs_;
  std::unique_ptr<v1::PipelineService::Stub> pipelines_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::CompletionService::Stub> completions_;
};

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

template <typename Detail>
std::optional<Detail> DetailOf(const grpc::Status& status) {
  const google::rpc::Status details = DetailsOf(status);
  for (const auto& any : details.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

TEST_F(ServerTest, EveryUnaryMethodReachesTheService) {
#define MR_CALL(stub, Name)                                                           \
  {                                                                                   \
    grpc::ClientContext context;                                                      \
    v1::Name##Response response;                                                      \
    const grpc::Status status = stub->Name(&context, v1::Name##Request(), &response); \
    EXPECT_TRUE(status.ok()) << #Name << ": " << status.error_message();              \
  }
  MR_CALL(pipelines_, ApplyPipeline)
  MR_CALL(pipelines_, GetPipeline)
  MR_CALL(pipelines_, ListPipelines)
  MR_CALL(pipelines_, DeletePipeline)
  MR_CALL(pipelines_, PlanPipeline)
  MR_CALL(runs_, CreateRun)
  MR_CALL(runs_, GetRun)
  MR_CALL(runs_, ListRuns)
  MR_CALL(runs_, WaitRun)
  MR_CALL(runs_, PauseRun)
  MR_CALL(runs_, ResumeRun)
  MR_CALL(runs_, RedriveRun)
  MR_CALL(runs_, CancelRun)
  MR_CALL(runs_, DeleteRun)
  MR_CALL(runs_, ListItems)
  MR_CALL(runs_, AddItems)
  MR_CALL(runs_, CloseInput)
  MR_CALL(runs_, ExplainItem)
  MR_CALL(runs_, ListAttempts)
  MR_CALL(completions_, Generate)
  MR_CALL(admin_, GetStatus)
  MR_CALL(admin_, ListBackends)
  MR_CALL(admin_, ListModels)
  MR_CALL(admin_, GetCacheStats)
  MR_CALL(admin_, EvictCache)
#undef MR_CALL
  on_.Do([&] {
    EXPECT_THAT(
        on_.service.calls,
        ElementsAre("ApplyPipeline", "GetPipeline", "ListPipelines", "DeletePipeline", "PlanPipeline", "CreateRun",
                    "GetRun", "ListRuns", "WaitRun", "PauseRun", "ResumeRun", "RedriveRun", "CancelRun", "DeleteRun",
                    "ListItems", "AddItems", "CloseInput", "ExplainItem", "ListAttempts", "Generate", "GetStatus",
                    "ListBackends", "ListModels", "GetCacheStats", "EvictCache"));
  });
}

TEST_F(ServerTest, AnErrorArrivesWithItsDetails) {
  on_.Do([&] {
    on_.service.errors["GetRun"] = MakeError(absl::StatusCode::kNotFound, "RUN_NOT_FOUND", "no run r-x");
    on_.service.errors["CreateRun"] = WithRetryDelay(
        MakeError(absl::StatusCode::kResourceExhausted, "DISK_LOW", "12 MiB free, 256 MiB kept free"), 1500ms);
    on_.service.errors["ApplyPipeline"] = MakeFieldError(
        "INVALID_DEFINITION", "2 fields are wrong", {{"stages[0].name", "expected a name"}, {"stages[1]", "no kind"}});
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

TEST_F(ServerTest, TheLongestErrorStillFitsIntoTheTrailer) {
  std::vector<FieldViolation> violations(100, {std::string(500, 'f'), std::string(1000, 'd')});
  std::string message;
  while (message.size() < 1000) message += "ü";
  on_.Do([&] { on_.service.errors["ApplyPipeline"] = MakeFieldError("INVALID_DEFINITION", message, violations); });
  grpc::ClientContext context;
  v1::ApplyPipelineResponse response;
  const grpc::Status status = pipelines_->ApplyPipeline(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_LE(status.error_details().size(), 4096u);
  const auto bad = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad);
  EXPECT_THAT(bad->field_violations().rbegin()->description(), StartsWith("and 9"));
}

TEST_F(ServerTest, ABugIsToldAsAnIncidentOnly) {
  on_.Do([&] { on_.service.errors["GetRun"] = absl::InternalError("secret /path"); });
  grpc::ClientContext context;
  v1::GetRunResponse response;
  const grpc::Status status = runs_->GetRun(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), StartsWith("internal error, incident "));
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status)->reason(), "INTERNAL");
}

TEST_F(ServerTest, AWaitIsAnsweredWithTheRunAsItIsAtTheDeadline) {
  on_.Do([&] { on_.service.run_state = v1::RUN_STATE_RUNNING; });
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 400ms);
  v1::WaitRunRequest request;
  request.set_run("r-test");
  v1::WaitRunResponse response;
  const grpc::Status status = runs_->WaitRun(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.run().state(), v1::RUN_STATE_RUNNING);
}

TEST_F(ServerTest, CreateRunWaitsWhereAskedTo) {
  on_.Do([&] { on_.service.run_state = v1::RUN_STATE_RUNNING; });
  std::thread ends_it([&] {
    bool waits = false;
    while (!waits) {
      on_.Do([&] { waits = !on_.service.calls.empty() && on_.service.calls.back() == "WaitRun"; });
    }
    on_.Do([&] {
      on_.service.run_state = v1::RUN_STATE_SUCCEEDED;
      on_.service.Changed();
    });
  });
  grpc::ClientContext context;
  v1::CreateRunRequest request;
  request.mutable_wait()->set_seconds(3600);
  v1::CreateRunResponse response;
  EXPECT_TRUE(runs_->CreateRun(&context, request, &response).ok());
  EXPECT_EQ(response.run().state(), v1::RUN_STATE_SUCCEEDED);
  ends_it.join();
}

TEST_F(ServerTest, TheDeadlineReachesTheServiceAsAPointInTime) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 95s);  // gRPC sends it rounded up, from 100 s on to seconds
  v1::GenerateResponse response;
  ASSERT_TRUE(completions_->Generate(&context, {}, &response).ok());
  on_.Do([&] {
    const Duration left = on_.service.last_deadline - on_.loop.Now();
    EXPECT_GT(left, 85s);
    EXPECT_LT(left, 96s);
  });
  grpc::ClientContext without;
  ASSERT_TRUE(completions_->Generate(&without, {}, &response).ok());
  on_.Do([&] { EXPECT_EQ(on_.service.last_deadline, kNever); });
}

TEST_F(ServerTest, ACancelledWaitEndsAndNothingElseDoes) {
  on_.Do([&] { on_.service.run_state = v1::RUN_STATE_RUNNING; });
  grpc::ClientContext context;
  std::thread cancels([&] {
    bool waits = false;
    while (!waits) on_.Do([&] { waits = !on_.service.calls.empty(); });
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
  on_.Do([&] { on_.service.holds_generate = true; });
  grpc::ClientContext context;
  std::thread cancels([&] {
    bool waits = false;
    while (!waits) on_.Do([&] { waits = on_.service.last_left != nullptr; });
    context.TryCancel();
  });
  v1::GenerateResponse response;
  EXPECT_EQ(completions_->Generate(&context, {}, &response).error_code(), grpc::StatusCode::CANCELLED);
  cancels.join();
  bool stopped = false;
  while (!stopped) on_.Do([&] { stopped = on_.service.last_left->stopped(); });
}

TEST_F(ServerTest, WatchRunDeliversEveryEventInOrderAndEnds) {
  on_.Do([&] {
    for (int i = 1; i <= 250; ++i) on_.service.events.push_back(Event(i));
  });
  grpc::ClientContext context;
  v1::WatchRunRequest request;
  request.set_after(3);
  auto reader = runs_->WatchRun(&context, request);
  v1::WatchRunResponse response;
  int64_t expected = 4;
  while (reader->Read(&response)) EXPECT_EQ(response.event().number(), expected++);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(expected, 251);
}

TEST_F(ServerTest, StreamItemsGoesOnByItsToken) {
  on_.Do([&] {
    for (int i = 1; i <= 5; ++i) {
      v1::StreamItemsResponse item;
      item.mutable_item()->set_ordinal(i);
      item.set_resume_token(std::to_string(i));
      on_.service.items.push_back(item);
    }
  });
  grpc::ClientContext context;
  auto reader = runs_->StreamItems(&context, {});
  v1::StreamItemsResponse response;
  std::vector<int64_t> ordinals;
  while (reader->Read(&response)) ordinals.push_back(response.item().ordinal());
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(ordinals, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(ServerTest, AnErrorOfAStreamArrivesWithItsReason) {
  on_.Do([&] {
    on_.service.errors["NextEvents"] = MakeError(absl::StatusCode::kNotFound, "RUN_NOT_FOUND", "no run");
  });
  grpc::ClientContext context;
  auto reader = runs_->WatchRun(&context, {});
  v1::WatchRunResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status)->reason(), "RUN_NOT_FOUND");
}

TEST_F(ServerTest, ASlowReaderPausesItsOwnStreamOnly) {
  on_.Do([&] {
    for (int i = 1; i <= 20000; ++i) {
      on_.service.events.push_back(Event(i));
      on_.service.events.back().mutable_warning()->set_message(std::string(1000, 'w'));
    }
  });
  grpc::ClientContext context;
  auto slow = runs_->WatchRun(&context, {});
  v1::WatchRunResponse response;
  ASSERT_TRUE(slow->Read(&response));
  // Another reader gets all 20 MB meanwhile.
  grpc::ClientContext other_context;
  const auto other_stub = v1::RunService::NewStub(Connect(target_));
  auto other = other_stub->WatchRun(&other_context, {});
  int64_t read = 0;
  while (other->Read(&response)) ++read;
  EXPECT_TRUE(other->Finish().ok());
  EXPECT_EQ(read, 20000);
  int pages = 0;
  on_.Do([&] { pages = on_.service.event_pages; });
  EXPECT_LT(pages, 200 + 1 + 150) << "the slow stream asked for pages that its client does not take";
  read = 1;
  while (slow->Read(&response)) ++read;
  EXPECT_TRUE(slow->Finish().ok());
  EXPECT_EQ(read, 20000);
}

TEST_F(ServerTest, ACancelledStreamEnds) {
  on_.Do([&] { on_.service.events_end = false; });
  grpc::ClientContext context;
  auto reader = runs_->WatchRun(&context, {});
  bool waits = false;
  while (!waits) on_.Do([&] { waits = on_.service.event_pages > 0; });
  context.TryCancel();
  v1::WatchRunResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServerTest, ShutdownEndsLiveStreamsAndWaitsWithTheReason) {
  on_.Do([&] {
    on_.service.events_end = false;
    on_.service.run_state = v1::RUN_STATE_RUNNING;
  });
  grpc::ClientContext stream_context;
  auto reader = runs_->WatchRun(&stream_context, {});
  grpc::Status waited;
  std::thread waits([&] {
    grpc::ClientContext context;
    v1::WaitRunResponse response;
    waited = runs_->WaitRun(&context, {}, &response);
  });
  bool live = false;
  while (!live) on_.Do([&] { live = on_.service.event_pages > 0 && !on_.service.calls.empty(); });

  const auto begin = std::chrono::steady_clock::now();
  server_->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  waits.join();
  EXPECT_EQ(waited.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(waited)->reason(), "DRAINING");
  v1::WatchRunResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, ShutdownNeedsNoLoop) {
  on_.Do([&] { on_.service.events_end = false; });
  grpc::ClientContext context;
  auto reader = runs_->WatchRun(&context, {});
  bool live = false;
  while (!live) on_.Do([&] { live = on_.service.event_pages > 0; });
  on_.Stop();
  server_->Shutdown();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, HealthTellsTheTruth) {
  EXPECT_EQ(Serving(""), true);
  EXPECT_EQ(Serving("millrace.v1.RunService"), true);
  EXPECT_EQ(Serving("millrace.v1.Nothing"), std::nullopt);
  server_->SetNotServing();
  EXPECT_EQ(Serving(""), false);
  EXPECT_EQ(Serving("millrace.v1.AdminService"), false);
  server_->SetServing();
  EXPECT_EQ(Serving("millrace.v1.AdminService"), true);
}

TEST_F(ServerTest, AServerThatIsNotReadyRefusesCallsForAMoment) {
  StatusOr<api::Listener> listener = api::Listener::Tcp("127.0.0.1:0");
  ASSERT_TRUE(listener.ok());
  const std::string target = "127.0.0.1:" + std::to_string(listener->port());
  std::vector<api::Listener> listeners;
  listeners.push_back(std::move(*listener));
  StatusOr<std::unique_ptr<api::Server>> server = api::Server::Start(on_.loop, on_.service, std::move(listeners), {});
  ASSERT_TRUE(server.ok());
  channel_ = Connect(target);
  EXPECT_EQ(Serving(""), false);
  const auto stub = v1::AdminService::NewStub(channel_);
  v1::GetStatusResponse response;
  grpc::ClientContext before;
  const grpc::Status status = stub->GetStatus(&before, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(DetailOf<google::rpc::RetryInfo>(status));
  (*server)->SetServing();
  EXPECT_EQ(Serving(""), true);
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
  StatusOr<std::unique_ptr<api::Server>> server = api::Server::Start(on_.loop, on_.service, std::move(listeners), {});
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
  const api::AcceptorFigures before = server_->Figures();
  for (int i = 0; i < 5; ++i) {
    grpc::ClientContext context;
    v1::GetStatusResponse response;
    EXPECT_TRUE(v1::AdminService::NewStub(Connect(target_))->GetStatus(&context, {}, &response).ok());
  }
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (server_->Figures().open > before.open && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  EXPECT_EQ(server_->Figures().open, before.open);
  EXPECT_EQ(server_->Figures().accepted, before.accepted + 5);
}

TEST_F(ServerTest, AMessageOverTheLimitIsRefusedAndTheConnectionLives) {
  v1::AddItemsRequest request;
  request.set_data(std::string(2 << 20, 'x'));
  grpc::ClientContext context;
  v1::AddItemsResponse response;
  EXPECT_EQ(runs_->AddItems(&context, request, &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc::ClientContext next;
  v1::GetRunResponse run;
  EXPECT_TRUE(runs_->GetRun(&next, {}, &run).ok());
}

TEST_F(ServerTest, ManyLargeMessagesOnOneConnectionAreNoFlood) {
  v1::AddItemsRequest request;
  request.set_data(std::string(1000 << 10, 'x'));
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    v1::AddItemsResponse response;
    const grpc::Status status = runs_->AddItems(&context, request, &response);
    ASSERT_TRUE(status.ok()) << i << ": " << status.error_message();
  }
  EXPECT_EQ(server_->Figures().cut, 0);
}

TEST_F(ServerTest, ManyLargeMessagesAtOnceAreNoFlood) {
  v1::AddItemsRequest request;
  request.set_data(std::string(1000 << 10, 'x'));
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10; ++j) {
        grpc::ClientContext context;
        v1::AddItemsResponse response;
        failed += runs_->AddItems(&context, request, &response).ok() ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(server_->Figures().cut, 0);
}

TEST_F(ServerTest, ALargeAnswerArrives) {
  on_.Do([&] { on_.service.big_json = std::string(5 << 20, 'j'); });
  grpc::ClientContext context;
  v1::ListItemsResponse response;
  const grpc::Status status = runs_->ListItems(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.items(0).json().size(), 5u << 20);
}

}  // namespace
}  // namespace millrace
