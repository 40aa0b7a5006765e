#include "backends/openai/openai.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/http_call.h"

namespace millrace::backend {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::HasSubstr;
using testing::Not;

v1::OpenaiBackend Config() {
  v1::OpenaiBackend config;
  config.set_base_url("https://api.example/v1/");
  config.mutable_api_key()->set_env("KEY");
  return config;
}

Request Question() {
  Request request;
  request.model = "m-1";
  request.messages = {{"system", "Be short."}, {"user", "Say \"hi\"."}};
  request.max_tokens = 64;
  return request;
}

SendHttp Sent(const v1::OpenaiBackend& config, const Request& request) {
  return std::get<SendHttp>(MakeOpenaiBackend(config)->Start(request, 1)->Next(Resume()));
}

// Gives a response to an exchange.
Action Told(int status, std::string body, std::vector<std::pair<std::string, std::string>> headers = {}) {
  const std::unique_ptr<Backend> backend = MakeOpenaiBackend(Config());
  const std::unique_ptr<Exchange> exchange = backend->Start(Question(), 1);
  exchange->Next(Resume());
  return ReadStored(*exchange, {.status = status, .headers = std::move(headers), .body = std::move(body)});
}

Answer Answered(std::string body) { return std::get<Done>(Told(200, std::move(body))).answer; }

Failure Failed(int status, std::string body, std::vector<std::pair<std::string, std::string>> headers = {}) {
  return std::get<Fail>(Told(status, std::move(body), std::move(headers))).failure;
}

TEST(OpenaiTest, SendsARequestOfTheProtocol) {
  const SendHttp sent = Sent(Config(), Question());
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.url, "https://api.example/v1/chat/completions");
  EXPECT_TRUE(sent.billable);
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).header, "Authorization");
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).scheme, "Bearer ");
  EXPECT_EQ(
      sent.body,
      R"({"model":"m-1","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Say \"hi\"."}],)"
      R"("max_completion_tokens":64})");
  EXPECT_EQ(MakeOpenaiBackend(Config())->manifest().protocol_family, "openai-chat");
}

TEST(OpenaiTest, SendsOnlyWhatIsSet) {
  v1::OpenaiBackend config = Config();
  config.clear_api_key();
  config.set_max_tokens_member("max_tokens");
  Request request = Question();
  request.temperature = 0;
  request.top_p = 0.5;
  request.seed = 9007199254740993;
  const SendHttp sent = Sent(config, request);
  EXPECT_TRUE(std::holds_alternative<NoAuth>(sent.auth));
  EXPECT_THAT(sent.body, HasSubstr(R"("max_tokens":64,"temperature":0E0,"top_p":5E-1,"seed":9007199254740993})"));
}

TEST(OpenaiTest, SendsTheSchemaAsItIsConfigured) {
  Request request = Question();
  request.output_schema = R"({"type":"object","properties":{"b":{"type":"string"},"a":{}},"required":["b"]})";
  v1::OpenaiBackend config = Config();
  EXPECT_THAT(
      Sent(config, request).body,
      HasSubstr(R"("response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object",)"
                R"("properties":{"b":{"type":"string"},"a":{}},"required":["b"]}}}})"));
  config.set_schema_format("json_object");
  EXPECT_THAT(Sent(config, request).body, testing::AllOf(HasSubstr(R"("response_format":{"type":"json_object"})"),
                                                         HasSubstr("Be short.\\n\\nAnswer with one JSON value")));
  config.set_schema_format("none");
  request.messages.erase(request.messages.begin());
  EXPECT_THAT(Sent(config, request).body,
              testing::AllOf(HasSubstr(R"({"role":"system","content":"Answer with one JSON value)"),
                             Not(HasSubstr("response_format"))));
}

TEST(OpenaiTest, ReadsAnAnswer) {
  const Answer answer = Answered(
      R"({"id":"c","model":"m-1-2026","choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null},)"
      R"("finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}})");
  EXPECT_EQ(answer.text, "hi");
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.input_tokens, 19);
  EXPECT_EQ(answer.output_tokens, 10);
  EXPECT_EQ(answer.reported_model, "m-1-2026");
}

TEST(OpenaiTest, ReadsDialectsOfCompatibleServers) {
  const auto with = [](std::string choice, std::string usage = "null") {
    return Answered(R"({"choices":[)" + choice + R"(],"usage":)" + usage + "}");
  };
  EXPECT_EQ(
      with(R"({"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":"eos"})")
          .text,
      "ab");
  EXPECT_EQ(with(R"({"message":{"content":null},"finish_reason":"tool_calls"})").text, "");
  EXPECT_EQ(with(R"({"message":{},"finish_reason":""})").finish_reason, FinishReason::kOther);
  EXPECT_EQ(with(R"({"message":{"content":"{\"a"},"finish_reason":"length"})").finish_reason, FinishReason::kLength);
  EXPECT_EQ(with(R"({"message":{"content":"x"},"finish_reason":"content_filter"})").finish_reason,
            FinishReason::kContentFilter);
  const Answer refused = with(R"({"message":{"content":null,"refusal":"I can't."},"finish_reason":"stop"})");
  EXPECT_EQ(refused.finish_reason, FinishReason::kRefusal);
  EXPECT_EQ(refused.text, "I can't.");
  for (const char* usage :
       {"null", "{}", R"({"prompt_tokens":-1})", R"({"prompt_tokens":1e18})", R"({"prompt_tokens":"7"})"}) {
    EXPECT_EQ(with(R"({"message":{"content":"x"}})", usage).input_tokens, std::nullopt) << usage;
  }
  EXPECT_EQ(with(R"({"message":{"content":"x"}})", R"({"prompt_tokens":7.0})").input_tokens, 7);
}

TEST(OpenaiTest, RefusesProtocolViolations) {
  for (const char* body :
       {"", "<html>", "[]", "{}", R"({"choices":[]})", R"({"choices":[{"text":"old"}]})", R"({"choices":{}})"}) {
    const Failure failure = Failed(200, body);
    EXPECT_EQ(failure.outcome, Outcome::kAnsweredBad) << body;
    EXPECT_EQ(failure.reason, Reason::kBadResponse);
  }
  EXPECT_EQ(Failed(200, R"({"error":{"message":"busy","code":"server_is_overloaded"}})").outcome, Outcome::kOverloaded);
  EXPECT_EQ(Failed(302, "").outcome, Outcome::kAnsweredBad);
  EXPECT_EQ(Failed(200, std::string(100'000, '[')).outcome, Outcome::kAnsweredBad);
}

std::string Error(std::string code, std::string type = "x", std::string message = "m") {
  return R"({"error":{"message":")" + message + R"(","type":")" + type + R"(","param":null,"code":)" + code + "}}";
}

TEST(OpenaiTest, ClassifiesByCodeThenTypeThenStatus) {
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
          {404, Error("\"model_not_found\""), Outcome::kRefused, Reason::kRequestRefused},
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

TEST(OpenaiTest, QuotesTheProvidersMessage) {
  EXPECT_EQ(Failed(429, Error("\"rate_limit_exceeded\"", "tokens", "slow\\ndown")).message,
            "HTTP 429, tokens, rate_limit_exceeded: slow\\ndown");
  EXPECT_EQ(Failed(500, R"({"error":"stopped"})").message, "HTTP 500: stopped");
  EXPECT_EQ(Failed(502, "<html>bad").message, "HTTP 502: <html>bad");
  EXPECT_LE(Failed(500, std::string(10'000, 'x')).message.size(), 1024u);
}

TEST(OpenaiTest, ReadsTheRetryDelay) {
  const auto after = [](std::vector<std::pair<std::string, std::string>> headers) {
    return Failed(429, "", std::move(headers)).retry_after;
  };
  EXPECT_EQ(after({}), std::nullopt);
  EXPECT_EQ(after({{"Retry-After", "2"}}), 2s);
  EXPECT_EQ(after({{"Retry-After", "2"}, {"Retry-After-Ms", "1500"}}), 1500ms);
  EXPECT_EQ(after({{"retry-after", "Sat, 21 Nov 2026 11:00:30 GMT"}, {"date", "Sat, 21 Nov 2026 11:00:00 GMT"}}), 30s);
  EXPECT_EQ(after({{"retry-after", "Sat, 21 Nov 2026 11:00:30 GMT"}}), std::nullopt);
  EXPECT_EQ(after({{"retry-after", "-1"}}), std::nullopt);
  EXPECT_EQ(after({{"retry-after", "nan"}}), std::nullopt);
  EXPECT_GT(after({{"retry-after", "1e300"}}), std::chrono::hours(24 * 365 * 100));
}

TEST(OpenaiTest, ObeysTheProvidersRetryHint) {
  EXPECT_EQ(Failed(400, "", {{"x-should-retry", "true"}}).outcome, Outcome::kServerError);
  EXPECT_EQ(Failed(500, "", {{"X-Should-Retry", "false"}}).outcome, Outcome::kRefused);
  EXPECT_EQ(Failed(401, "", {{"x-should-retry", "true"}}).outcome, Outcome::kCredentials);
}

TEST(OpenaiTest, ReadsAStoredResponseLikeOneThatComes) {
  const std::unique_ptr<Backend> backend = MakeOpenaiBackend(Config());
  const std::string body = R"({"choices":[{"message":{"content":"x"}}]})";
  Action action = ReadStored(*backend->Start(Question(), 2), {.status = 200, .headers = {}, .body = body});
  EXPECT_EQ(std::get<Done>(action).answer.text, "x");
  const std::unique_ptr<Exchange> exchange = backend->Start(Question(), 1);
  exchange->Next(Resume());
  EXPECT_TRUE(std::holds_alternative<More>(exchange->Next(Head{.status = 200, .headers = {}})));
  for (const char byte : body) EXPECT_TRUE(std::holds_alternative<More>(exchange->Next(Bytes{std::string(1, byte)})));
  action = exchange->Next(End());
  EXPECT_EQ(std::get<Done>(action).answer.text, "x");
}

TEST(OpenaiTest, RefusesToEmbed) {
  const Action action = MakeOpenaiBackend(Config())
                            ->Start(EmbedRequest{.model = "m", .texts = {"a"}, .dimensions = {}}, 1)
                            ->Next(Resume());
  EXPECT_EQ(std::get<Fail>(action).failure.outcome, Outcome::kRefused);
  EXPECT_EQ(std::get<Fail>(action).failure.message, "backend kind `openai` does not embed texts");
}

}  // namespace
}  // namespace millrace::backend
