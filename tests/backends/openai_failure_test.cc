#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/openai/rate_hint.h"
#include "tests/backends/openai_world.h"

namespace millrace::backend {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

std::string Error(std::string code, std::string type = "x", std::string message = "m") {
  return R"({"error":{"message":")" + message + R"(","type":")" + type + R"(","param":null,"code":)" + code + "}}";
}

TEST(OpenaiFailureTest, ClassifiesByCodeThenTypeThenStatus) {
  struct Row {
    int status;
    std::string body;
    Outcome outcome;
    Reason reason;
  };
  for (
      const Row& row : std::vector<Row>{
          {400, Error("\"context_length_exceeded\"", "invalid_request_error"), Outcome::kRefused,
           Reason::kPromptTooLong},
          {400, Error("400", "exceed_context_size_error"), Outcome::kRefused, Reason::kPromptTooLong},
          {400,
           R"({"object":"error","message":"This model's maximum context length is 8","type":"BadRequestError","code":400})",
           Outcome::kRefused, Reason::kPromptTooLong},
          {400, Error("\"content_filter\""), Outcome::kRefused, Reason::kContentFilter},
          {400, Error("null", "invalid_request_error"), Outcome::kRefused, Reason::kRequestRefused},
          {401, Error("\"invalid_api_key\""), Outcome::kCredentials, Reason::kProviderCredentials},
          {403, "<html>no</html>", Outcome::kCredentials, Reason::kProviderCredentials},
          {404, Error("\"model_not_found\""), Outcome::kNoModel, Reason::kProviderModel},
          {404, Error("\"DeploymentNotFound\""), Outcome::kNoModel, Reason::kProviderModel},
          {408, "", Outcome::kServerError, Reason::kTargetFailed},
          {413, "", Outcome::kRefused, Reason::kRequestRefused},
          {429, Error("\"rate_limit_exceeded\"", "tokens"), Outcome::kRateLimited, Reason::kTargetFailed},
          {429, Error("\"rate_limit_exceeded\"", "tokens", "Request too large for m"), Outcome::kRefused,
           Reason::kPromptTooLong},
          {429, Error("\"insufficient_quota\"", "insufficient_quota"), Outcome::kQuota, Reason::kProviderQuota},
          {429, Error("null", "insufficient_quota"), Outcome::kQuota, Reason::kProviderQuota},
          {429, "not JSON", Outcome::kRateLimited, Reason::kTargetFailed},
          {500, Error("null", "server_error"), Outcome::kServerError, Reason::kTargetFailed},
          {502, "<html>", Outcome::kServerError, Reason::kTargetFailed},
          {503, Error("503", "unavailable_error"), Outcome::kOverloaded, Reason::kTargetFailed},
          {503, "", Outcome::kOverloaded, Reason::kTargetFailed},
          {529, "", Outcome::kOverloaded, Reason::kTargetFailed},
          {429, Error("\"slow_down\"", "rate_limit_error"), Outcome::kRateLimited, Reason::kTargetFailed},
          {422, R"({"detail":[{"loc":["body"],"msg":"bad"}]})", Outcome::kRefused, Reason::kRequestRefused},
          {500,
           Error("500", "server_error", "input (600 tokens) is too large to process. increase the physical batch size"),
           Outcome::kRefused, Reason::kPromptTooLong},  // llama.cpp
          {500, R"({"error":"model runner has stopped"})", Outcome::kServerError, Reason::kTargetFailed},
          {503, R"([{"error":{"message":"m","code":"server_is_overloaded"}}])", Outcome::kOverloaded,
           Reason::kTargetFailed},
      }) {
    const Failure failure = Failed(row.status, row.body);
    EXPECT_EQ(static_cast<int>(failure.outcome), static_cast<int>(row.outcome)) << row.status << " " << row.body;
    EXPECT_EQ(failure.reason, row.reason) << row.status << " " << row.body;
    EXPECT_EQ(failure.http_status, row.status);
  }
}

TEST(OpenaiFailureTest, QuotesTheProvidersMessage) {
  EXPECT_EQ(Failed(429, Error("\"rate_limit_exceeded\"", "tokens", "slow\\ndown")).message,
            "HTTP 429, tokens, rate_limit_exceeded: slow\\ndown");
  EXPECT_EQ(Failed(500, R"({"error":"stopped"})").message, "HTTP 500: stopped");
  EXPECT_EQ(Failed(500, R"({"error":{"message":"m"}})", {{"X-Request-Id", "req_7\n"}}).message,
            "HTTP 500: m (request req_7\\n)");
  EXPECT_EQ(Failed(422, R"({"detail":"bad"})").message, "HTTP 422: {\"detail\":\"bad\"}");
  EXPECT_EQ(Failed(502, "<html>bad").message, "HTTP 502: <html>bad");
  EXPECT_LE(Failed(500, std::string(10'000, 'x')).message.size(), 1024u);
}

Failure FailedAt(const std::string& base_url, int status, std::string body) {
  v1::OpenaiBackend config;
  config.set_base_url(base_url);
  const Ended ended = Read(status, std::move(body), {}, config);
  const auto* fail = std::get_if<Fail>(&ended.action);
  EXPECT_NE(fail, nullptr) << Shown(ended.action);
  return fail == nullptr ? Failure() : fail->failure;
}

TEST(OpenaiFailureTest, AServerThatDoesNotKnowThePathIsAnsweredWithTheUrlToWrite) {
  struct Row {
    int status;
    std::string body;
  };
  const std::string openai = Error("null", "invalid_request_error", "Invalid URL (POST /chat/completions)");
  const std::string llama = Error("404", "not_found_error", "File Not Found");
  for (const Row& row : std::vector<Row>{
           {404, "404 page not found"},
           {404, R"({"detail":"Not Found"})"},
           {404, llama},
           {404, openai},
           {405, "<html>405 Not Allowed</html>"},
           {200, R"({"error":"Unexpected endpoint or method. POST /chat/completions"})"},  // LM Studio
       }) {
    const Failure failure = FailedAt("http://h:1234/", row.status, row.body);
    EXPECT_EQ(failure.reason, Reason::kProviderModel) << row.body;
    EXPECT_EQ(static_cast<int>(failure.outcome), static_cast<int>(Outcome::kNoModel)) << row.body;
    EXPECT_THAT(failure.message, testing::EndsWith("; base_url http://h:1234 has no version in its path; most servers "
                                                   "want http://h:1234/v1"));
  }
  EXPECT_THAT(FailedAt("http://h/v1", 404, "no").message, testing::EndsWith("; base_url http://h/v1 may be wrong"));
  EXPECT_THAT(FailedAt("http://h", 200, "<!doctype html>").message,
              testing::HasSubstr("most servers want http://h/v1"));
  for (const std::string& body :
       {Error("null", "api_error", "model x not found, try pulling it first"), Error("\"model_not_found\""),
        Error("null", "x", "The API deployment for this resource does not exist.")}) {
    EXPECT_THAT(FailedAt("http://h", 404, body).message, testing::Not(testing::HasSubstr("base_url"))) << body;
  }
}

TEST(OpenaiFailureTest, ReadsTheRetryDelay) {
  const auto after = [](Headers headers) { return Failed(429, "", std::move(headers)).retry_after; };
  EXPECT_EQ(after({}), std::nullopt);
  EXPECT_EQ(after({{"Retry-After", "2"}}), 2s);
  EXPECT_EQ(after({{"Retry-After", "2"}, {"Retry-After-Ms", "1500"}}), 1500ms);
  EXPECT_EQ(after({{"retry-after", "Sat, 21 Nov 2026 11:00:30 GMT"}, {"date", "Sat, 21 Nov 2026 11:00:00 GMT"}}), 30s);
  EXPECT_EQ(after({{"retry-after", "Sat, 21 Nov 2026 11:00:30 GMT"}}), std::nullopt);
  EXPECT_EQ(after({{"retry-after", "-1"}}), std::nullopt);
  EXPECT_EQ(after({{"retry-after", "nan"}}), std::nullopt);
  EXPECT_EQ(after({{"retry-after", "Sat, 21 Nov 2026 10:59:59 GMT"}, {"date", "Sat, 21 Nov 2026 11:00:00 GMT"}}),
            std::nullopt);
  EXPECT_EQ(after({{"retry-after", "0"}}), 0s);
  EXPECT_EQ(after({{"retry-after", "1e300"}}), std::chrono::hours(24));
}

TEST(OpenaiFailureTest, ObeysTheProvidersRetryHint) {
  EXPECT_EQ(Failed(400, "", {{"x-should-retry", "true"}}).outcome, Outcome::kServerError);
  EXPECT_EQ(Failed(500, "", {{"X-Should-Retry", "false"}}).outcome, Outcome::kRefused);
  EXPECT_EQ(Failed(401, "", {{"x-should-retry", "true"}}).outcome, Outcome::kCredentials);
}

TEST(OpenaiFailureTest, AnErrorInASuccessfulResponseIsClassifiedByItsOwnCode) {
  const auto failed = [](std::string body) {
    const Failure failure = Failed(200, std::move(body));
    return std::string(OutcomeName(failure.outcome));
  };
  EXPECT_EQ(failed(Error("\"server_is_overloaded\"")), "OVERLOADED");
  EXPECT_EQ(failed(Error("503")), "OVERLOADED");
  EXPECT_EQ(failed(Error("null")), "SERVER_ERROR");
  EXPECT_EQ(failed(R"({"object":"error","message":"maximum context length is 8","code":400})"), "REFUSED");
  EXPECT_EQ(failed(R"({"error":"stopped"})"), "SERVER_ERROR");
  EXPECT_EQ(failed("data: " + Error("429") + "\n\n"), "RATE_LIMITED");
  EXPECT_EQ(failed("event: error\ndata: the model crashed\n\n"), "SERVER_ERROR");
}

TEST(OpenaiFailureTest, ReadsTheLimitsOfAResponse) {
  const Failure failure = Failed(429, "",
                                 {{"x-ratelimit-limit-requests", "60"},
                                  {"X-RateLimit-Remaining-Requests", "0"},
                                  {"x-ratelimit-reset-requests", "1m0.5s"},
                                  {"x-ratelimit-limit-tokens", "150000"},
                                  {"x-ratelimit-remaining-tokens", "149984"},
                                  {"x-ratelimit-reset-tokens", "6m0s"}});
  const RateHint expected{.limit_requests = 60,
                          .remaining_requests = 0,
                          .reset_requests = 60500ms,
                          .limit_tokens = 150000,
                          .remaining_tokens = 149984,
                          .reset_tokens = 360s};
  EXPECT_EQ(failure.rate, expected);
}

TEST(OpenaiFailureTest, LimitsThatAreNotPlausibleAreLeftOut) {
  const auto hint = [](std::string limit, std::string remaining, std::string reset) {
    return openai::RateHintOf({{"x-ratelimit-limit-tokens", std::move(limit)},
                               {"x-ratelimit-remaining-tokens", std::move(remaining)},
                               {"x-ratelimit-reset-tokens", std::move(reset)}});
  };
  EXPECT_EQ(hint("-1", "0", "0"), RateHint()) << "as Azure has sent them";
  EXPECT_EQ(hint("0", "5", "1s"), RateHint());
  EXPECT_EQ(hint("many", "5", "1s"), RateHint());
  EXPECT_EQ(hint("", "-1", "soon"), RateHint());
  EXPECT_EQ(hint("", "1e18", "1e18s"), RateHint());
  EXPECT_EQ(hint("9", "5", "59").reset_tokens, 59s) << "bare seconds, as Azure sends them";
  EXPECT_EQ(hint("9", "5", "59").remaining_tokens, 5);
}

TEST(OpenaiFailureTest, ReadsDurationsOfResets) {
  EXPECT_EQ(openai::ResetDuration("1s"), 1s);
  EXPECT_EQ(openai::ResetDuration("120ms"), 120ms);
  EXPECT_EQ(openai::ResetDuration("1h2m3.5s"), 3723500ms);
  EXPECT_EQ(openai::ResetDuration("0"), 0s);
  for (const char* text : {"", "s", "1x", "1s5", "-1s", "nan", "inf", "1 s", "1e99", "99999999h"}) {
    EXPECT_EQ(openai::ResetDuration(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace millrace::backend
