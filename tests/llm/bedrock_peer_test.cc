// The bedrock backend streams from a real server, whose address tests/real/bedrock sets in the environment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "backends/bedrock/bedrock.h"
#include "server/aws/signer.h"
#include "server/http/beast_client.h"
#include "server/http/url.h"
#include "server/llm/host.h"

namespace millrace {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct KeepDeltas final : AttemptMoments {
  Task<bool> Started() override { co_return true; }
  void Ended() override {}
  Task<void> Answered(RawAnswer answer) override {
    raw = std::move(answer);
    co_return;
  }
  void Delta(std::string_view text) override { deltas += text; }
  std::string deltas;
  RawAnswer raw;
};

Task<void> SendOnce(Loop& loop, Host& host, AttemptOrder order, AttemptMoments& moments,
                    std::optional<AttemptResult>& result) {
  result = co_await host.Send(std::move(order), moments);
  loop.Stop();
}

TEST(BedrockPeerTest, StreamsFromARealServer) {
  const std::string endpoint = Variable("MILLRACE_BEDROCK_ENDPOINT");
  if (endpoint.empty()) GTEST_SKIP() << "no server: run tests/real/bedrock";
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 1);
  const std::unique_ptr<HttpClient> http = MakeBeastClient(loop, *pool);
  v1::BedrockBackend config;
  config.set_region("us-east-1");
  config.set_endpoint(endpoint);
  BackendEntry entry;
  entry.backend = backend::MakeBedrockBackend(config);
  entry.secret_origin = OriginOf(endpoint);
  AwsSources sources{.loop = loop, .pool = *pool, .http = *http, .system = MachineAwsSystem()};
  entry.aws = std::make_shared<AwsSigner>(std::move(sources), "");
  backend::Request request;
  request.model = Variable("MILLRACE_BEDROCK_MODEL");
  request.messages = {{"user", "hello"}};
  request.wants_deltas = true;
  AttemptOrder order;
  order.entry = &entry;
  order.question = request;
  KeepDeltas moments;
  std::optional<AttemptResult> result;
  Host host(loop, *pool, *http, {});
  loop.Spawn(SendOnce(loop, host, std::move(order), moments, result));
  loop.Run();
  ASSERT_TRUE(result.has_value());
  const auto* failure = std::get_if<backend::Failure>(&*result);
  ASSERT_EQ(failure, nullptr) << failure->message;
  EXPECT_EQ(std::get<backend::Answer>(*result).text, Variable("MILLRACE_BEDROCK_EXPECTED"));
  EXPECT_EQ(moments.deltas, Variable("MILLRACE_BEDROCK_EXPECTED"));
  EXPECT_EQ(moments.raw.body.substr(0, 1), std::string(1, '\0')) << "it was a stream";
}

}  // namespace
}  // namespace millrace
