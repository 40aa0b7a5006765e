#include <gmock/gmock.h>

#include <thread>

#include "server/api/rpc.h"
#include "tests/api/server_fixture.h"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

using StreamsTest = ServerTest;

v1::RunEvent Event(int64_t number) {
  v1::RunEvent event;
  event.set_number(number);
  return event;
}

TEST_F(StreamsTest, WatchRunDeliversEveryEventInOrderAndEnds) {
  on_.Do([&] {
    for (int i = 1; i <= 250; ++i) on_.apis.events.push_back(Event(i));
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

TEST_F(StreamsTest, StreamsOfPagesAndOfAnswersAreLimitedApart) {
  SystemClock clock;
  Loop loop(clock);
  FakeApis apis(loop);
  api::RpcHost host(loop, apis.apis(), nullptr);
  for (int i = 0; i < api::kPageStreamsMax; ++i) ASSERT_TRUE(host.BeginStream(api::StreamKind::kPages));
  EXPECT_FALSE(host.BeginStream(api::StreamKind::kPages));
  for (int i = 0; i < api::kAnswerStreamsMax; ++i) ASSERT_TRUE(host.BeginStream(api::StreamKind::kAnswer));
  EXPECT_FALSE(host.BeginStream(api::StreamKind::kAnswer));
  for (const api::StreamKind kind : {api::StreamKind::kPages, api::StreamKind::kAnswer}) {
    host.EndStream(kind);  // of the stream that was refused
    host.EndStream(kind);
    EXPECT_TRUE(host.BeginStream(kind));
  }
}

TEST_F(StreamsTest, StreamItemsResumesAtItsToken) {
  on_.Do([&] {
    for (int i = 1; i <= 5; ++i) {
      v1::StreamItemsResponse item;
      item.mutable_item()->set_ordinal(i);
      item.set_resume_token(std::to_string(i));
      on_.apis.items.push_back(item);
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

TEST_F(StreamsTest, AnErrorOfAStreamArrivesWithItsReason) {
  on_.Do([&] { on_.apis.errors["NextEvents"] = MakeError(Reason::kRunNotFound, "no run"); });
  grpc::ClientContext context;
  auto reader = runs_->WatchRun(&context, {});
  v1::WatchRunResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status)->reason(), "RUN_NOT_FOUND");
}

TEST_F(StreamsTest, ASlowReaderPausesItsOwnStreamOnly) {
  on_.Do([&] {
    for (int i = 1; i <= 20000; ++i) {
      on_.apis.events.push_back(Event(i));
      on_.apis.events.back().mutable_warning()->set_message(std::string(1000, 'w'));
    }
  });
  grpc::ClientContext context;
  auto slow = runs_->WatchRun(&context, {});
  v1::WatchRunResponse response;
  ASSERT_TRUE(slow->Read(&response));
  // Meanwhile another reader gets all 20 MB.
  grpc::ClientContext other_context;
  const auto other_stub = v1::RunService::NewStub(Connect(target_));
  auto other = other_stub->WatchRun(&other_context, {});
  int64_t read = 0;
  while (other->Read(&response)) ++read;
  EXPECT_TRUE(other->Finish().ok());
  EXPECT_EQ(read, 20000);
  int pages = 0;
  on_.Do([&] { pages = on_.apis.event_pages; });
  EXPECT_LT(pages, 200 + 1 + 150) << "the slow stream asked for pages that its client does not take";
  read = 1;
  while (slow->Read(&response)) ++read;
  EXPECT_TRUE(slow->Finish().ok());
  EXPECT_EQ(read, 20000);
}

TEST_F(StreamsTest, ACancelledStreamEnds) {
  on_.Do([&] { on_.apis.events_end = false; });
  grpc::ClientContext context;
  auto reader = runs_->WatchRun(&context, {});
  bool waits = false;
  while (!waits) on_.Do([&] { waits = on_.apis.event_pages > 0; });
  context.TryCancel();
  v1::WatchRunResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(StreamsTest, ShutdownEndsLiveStreamsAndWaitsWithTheReason) {
  on_.Do([&] {
    on_.apis.events_end = false;
    on_.apis.run_state = v1::RUN_STATE_RUNNING;
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
  while (!live) on_.Do([&] { live = on_.apis.event_pages > 0 && !on_.apis.calls.empty(); });

  const auto begin = std::chrono::steady_clock::now();
  served_.server->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  waits.join();
  EXPECT_EQ(waited.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(waited)->reason(), "DRAINING");
  v1::WatchRunResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(StreamsTest, ShutdownNeedsNoLoop) {
  on_.Do([&] { on_.apis.events_end = false; });
  grpc::ClientContext context;
  auto reader = runs_->WatchRun(&context, {});
  bool live = false;
  while (!live) on_.Do([&] { live = on_.apis.event_pages > 0; });
  on_.Stop();
  served_.server->Shutdown();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace millrace
