#include <atomic>
#include <thread>
#include <vector>

#include "tests/api/server_fixture.h"

namespace millrace {
namespace {

using MessageSizeTest = ServerTest;

TEST_F(MessageSizeTest, AMessageOverTheLimitIsRefusedAndTheConnectionLives) {
  v1::AddItemsRequest request;
  request.set_data(std::string(2 << 20, 'x'));
  grpc::ClientContext context;
  v1::AddItemsResponse response;
  EXPECT_EQ(runs_->AddItems(&context, request, &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  grpc::ClientContext next;
  v1::GetRunResponse run;
  EXPECT_TRUE(runs_->GetRun(&next, {}, &run).ok());
}

TEST_F(MessageSizeTest, ManyLargeMessagesOnOneConnectionAreNotAFlood) {
  v1::AddItemsRequest request;
  request.set_data(std::string(1000 << 10, 'x'));
  for (int i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    v1::AddItemsResponse response;
    const grpc::Status status = runs_->AddItems(&context, request, &response);
    ASSERT_TRUE(status.ok()) << i << ": " << status.error_message();
  }
  EXPECT_EQ(served_.server->Figures().cut, 0);
}

TEST_F(MessageSizeTest, ManyLargeMessagesAtOnceAreNotAFlood) {
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
  EXPECT_EQ(served_.server->Figures().cut, 0);
}

TEST_F(MessageSizeTest, ALargeAnswerArrives) {
  on_.Do([&] { on_.apis.big_json = std::string(5 << 20, 'j'); });
  grpc::ClientContext context;
  v1::ListItemsResponse response;
  const grpc::Status status = runs_->ListItems(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.items(0).json().size(), 5u << 20);
}

}  // namespace
}  // namespace millrace
