// Requests that the host signs with AWS credentials, and their refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/bedrock/bedrock.h"
#include "server/aws/signer.h"
#include "server/llm/host.h"
#include "tests/aws/world.h"

namespace millrace {
namespace {

using backend::Outcome;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using testing::HasSubstr;
using testing::Not;

constexpr char kEndpoint[] = "https://bedrock-runtime.us-east-1.amazonaws.com";
constexpr char kPost[] = "POST https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse";
constexpr char kAgent[] = "GET http://169.254.170.2/creds";

struct NoMoments final : AttemptMoments {
  Task<bool> Started() override { co_return true; }
  void Ended() override {}
  Task<void> Answered(RawAnswer) override { co_return; }
  void Delta(std::string_view) override {}
};

class SignedRequestsTest : public testing::Test {
 protected:
  SignedRequestsTest() {
    world.variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/creds";
    ServeKeys("A");
    v1::BedrockBackend config;
    config.set_region("us-east-1");
    entry.backend = backend::MakeBedrockBackend(config);
    entry.secret_origin = std::string(kEndpoint) + ":443";
    entry.aws = std::make_shared<AwsSigner>(world.Sources(), "");
  }

  void ServeKeys(const std::string& id) {
    world.services[kAgent] = {
        200, R"({"AccessKeyId":")" + id +
                 R"(","SecretAccessKey":"s3cret","Token":"t0ken","Expiration":"2026-01-02T04:04:05Z"})"};
  }
  void ServeAnswer() {
    world.services[kPost] = {
        200, R"({"output":{"message":{"content":[{"text":"hi"}]}},"stopReason":"end_turn","usage":{}})"};
  }
  void ServeRefusal(const std::string& name, const std::string& message = "m", const std::string& date = "") {
    world.services[kPost] = {403, R"({"message":")" + message + R"("})", {{"x-amzn-ErrorType", name}, {"Date", date}}};
  }

  AttemptResult Send() {
    std::optional<AttemptResult> result;
    world.loop.Spawn(SendOnce(result));
    world.loop.RunUntil([&] { return result.has_value(); });
    return *std::move(result);
  }
  backend::Failure Refused() { return std::get<backend::Failure>(Send()); }
  std::string HeaderOfLast(std::string_view name) {
    return std::string(FindHeader(world.requests.back().headers, name));
  }

  AwsWorld world;
  BackendEntry entry;

 private:
  Task<void> SendOnce(std::optional<AttemptResult>& result) {
    Host host(world.loop, *world.pool, world, {});
    NoMoments moments;
    backend::Request request;
    request.model = "m";
    request.messages = {{"user", "hi"}};
    AttemptOrder order;
    order.entry = &entry;
    order.question = std::move(request);
    result = co_await host.Send(std::move(order), moments);
  }
};

TEST_F(SignedRequestsTest, AnAttemptIsSigned) {
  ServeAnswer();
  EXPECT_EQ(std::get<backend::Answer>(Send()).text, "hi");
  EXPECT_THAT(HeaderOfLast("authorization"), HasSubstr("Credential=A/20260102/us-east-1/bedrock/aws4_request"));
  EXPECT_EQ(HeaderOfLast("x-amz-security-token"), "t0ken");
}

TEST_F(SignedRequestsTest, NothingIsSignedForAnotherHost) {
  ServeAnswer();
  entry.secret_origin = "https://other.example:443";
  EXPECT_THAT(Refused().message, HasSubstr("for another host"));
  EXPECT_TRUE(world.requests.empty()) << "not even credentials are fetched";
}

TEST_F(SignedRequestsTest, AnAttemptWithoutCredentialsIsNotSent) {
  world.services.clear();
  const backend::Failure failure = Refused();
  EXPECT_EQ(failure.outcome, Outcome::kCredentials) << "a human must configure some";
  EXPECT_THAT(failure.message, HasSubstr("does not answer"));
  EXPECT_EQ(world.requests.size(), 1u);
  entry.aws = nullptr;
  EXPECT_THAT(Refused().message, HasSubstr("no AWS credentials"));
}

TEST_F(SignedRequestsTest, AFailedRefreshIsRetried) {
  ServeAnswer();
  Send();
  world.services.erase(kAgent);
  world.clock.Advance(2h);
  EXPECT_EQ(Refused().outcome, Outcome::kNotSent);
}

TEST_F(SignedRequestsTest, ARefusalForTheTimeIsRetriedByTheProvidersClock) {
  ServeRefusal("InvalidSignatureException", "Signature expired", "Fri, 02 Jan 2026 05:04:05 GMT");
  EXPECT_EQ(Refused().outcome, Outcome::kServerError);
  EXPECT_EQ(HeaderOfLast("x-amz-date").substr(0, 12), "20260102T030");
  EXPECT_EQ(Refused().outcome, Outcome::kCredentials) << "the time was not the reason";
  EXPECT_EQ(HeaderOfLast("x-amz-date").substr(0, 12), "20260102T050");
}

TEST_F(SignedRequestsTest, ARefusalOfOldCredentialsIsRetriedWithNewOnes) {
  ServeRefusal("ExpiredTokenException");
  EXPECT_EQ(Refused().outcome, Outcome::kCredentials) << "they are new";
  world.clock.Advance(2min);
  EXPECT_EQ(Refused().outcome, Outcome::kServerError);
  ServeKeys("B");
  ServeAnswer();
  EXPECT_EQ(std::get<backend::Answer>(Send()).text, "hi");
  EXPECT_THAT(HeaderOfLast("authorization"), HasSubstr("Credential=B/"));
}

TEST_F(SignedRequestsTest, AMessageDoesNotShowTheSessionToken) {
  ServeRefusal("AccessDeniedException", "no t0ken");
  EXPECT_EQ(Refused().message, "HTTP 403, AccessDeniedException: no [secret]");
}

}  // namespace
}  // namespace millrace
