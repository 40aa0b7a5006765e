#include "server/aws/signer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aws/world.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using testing::HasSubstr;

class AwsSignerTest : public testing::Test {
 protected:
  AwsSignerTest() {
    world.variables["AWS_ACCESS_KEY_ID"] = "A";
    world.variables["AWS_SECRET_ACCESS_KEY"] = "s";
  }

  StatusOr<AwsSigner::Signed> Sign(AwsSigner& signer, std::string body = "{}") {
    HttpRequest request;
    request.url = "https://h.example/m";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = std::move(body);
    std::optional<StatusOr<AwsSigner::Signed>> result;
    world.loop.Spawn(SignOnce(signer, std::move(request), result));
    world.loop.RunUntil([&] { return result.has_value(); });
    return *std::move(result);
  }
  static std::string DateOf(const StatusOr<AwsSigner::Signed>& result) {
    return std::string(FindHeader(result->request.headers, "x-amz-date"));
  }

  AwsWorld world;

 private:
  static Task<void> SignOnce(AwsSigner& signer, HttpRequest request,
                             std::optional<StatusOr<AwsSigner::Signed>>& result) {
    AwsScope scope{.region = "us-east-1", .service = "bedrock"};
    result = co_await signer.Sign(std::move(request), std::move(scope));
  }
};

TEST_F(AwsSignerTest, AddsTheSignatureOfTheSameRequest) {
  AwsSigner signer(world.Sources(), "");
  for (const std::string& body : {std::string("{}"), std::string(200'000, 'x')}) {
    const auto result = Sign(signer, body);
    ASSERT_TRUE(result.ok()) << result.status();
    HttpRequest request = result->request;
    EXPECT_EQ(request.body, body);
    request.headers = {{"Content-Type", "application/json"}};
    const auto expected = SignAws(request, *result->keys, {"us-east-1", "bedrock"}, world.clock.WallMicros());
    EXPECT_EQ(FindHeader(result->request.headers, "authorization"), FindHeader(expected->headers, "authorization"));
    EXPECT_EQ(DateOf(result), "20260102T030405Z");
  }
}

TEST_F(AwsSignerTest, SignsNothingWithoutCredentials) {
  world.variables.erase("AWS_SECRET_ACCESS_KEY");
  AwsSigner signer(world.Sources(), "");
  EXPECT_EQ(ReasonOf(Sign(signer).status()), Reason::kProviderCredentials);
}

TEST_F(AwsSignerTest, CorrectsItsClockByThatOfAServiceThatRefuses) {
  AwsSigner signer(world.Sources(), "");
  const auto keys = Sign(signer)->keys;
  EXPECT_FALSE(signer.Learn(keys, "Fri, 02 Jan 2026 03:04:35 GMT")) << "30 s are within the tolerance";
  EXPECT_TRUE(signer.Learn(keys, "Fri, 02 Jan 2026 03:14:05 GMT"));
  EXPECT_EQ(DateOf(Sign(signer)), "20260102T031405Z");
  EXPECT_FALSE(signer.Learn(keys, "Fri, 02 Jan 2026 03:14:05 GMT")) << "it is corrected already";
  world.clock.JumpWall(600s);
  EXPECT_TRUE(signer.Learn(keys, "Fri, 02 Jan 2026 03:14:05 GMT"));
  EXPECT_EQ(DateOf(Sign(signer)), "20260102T031405Z");
  for (const char* date : {"", "yesterday", "Fri, 02 Jan 2026 09:14:05 CET", "Fri, 31 Dec 9999 23:59:59 GMT",
                           "Thu, 01 Jan 1970 00:00:00 GMT"}) {
    EXPECT_FALSE(signer.Learn(keys, date)) << date;
  }
  EXPECT_EQ(DateOf(Sign(signer)), "20260102T031405Z");
}

TEST_F(AwsSignerTest, FetchesCredentialsAgainThatWereRefused) {
  world.variables.erase("AWS_ACCESS_KEY_ID");
  world.variables.erase("AWS_SECRET_ACCESS_KEY");
  world.variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/creds";
  world.services["GET http://169.254.170.2/creds"] = {200, R"({"AccessKeyId":"A","SecretAccessKey":"s","Token":"t"})"};
  AwsSigner signer(world.Sources(), "");
  const auto first = Sign(signer);
  EXPECT_THAT(std::string(FindHeader(first->request.headers, "authorization")), HasSubstr("x-amz-security-token"));
  EXPECT_FALSE(signer.Learn(first->keys, "")) << "the credentials are new";
  world.clock.Advance(1min);
  EXPECT_TRUE(signer.Learn(first->keys, ""));
  EXPECT_NE(Sign(signer)->keys, first->keys);
}

}  // namespace
}  // namespace millrace
