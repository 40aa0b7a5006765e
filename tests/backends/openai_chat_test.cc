#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/openai/endpoint.h"
#include "tests/backends/openai_world.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::Pair;

TEST(OpenaiChatTest, SendsARequestOfTheProtocol) {
  const SendHttp sent = Sent(Config(), ChatRequest());
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.url, "https://api.example/v1/chat/completions");
  EXPECT_TRUE(sent.billable);
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).header, "Authorization");
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).scheme, "Bearer ");
  EXPECT_EQ(HeaderOf(sent.headers, "accept"), "application/json");
  EXPECT_EQ(
      sent.body,
      R"({"model":"m-1","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Say \"hi\"."}],)"
      R"("max_completion_tokens":64})");
  EXPECT_EQ(MakeOpenaiBackend(Config())->manifest().protocol_family, "openai-chat");
}

TEST(OpenaiChatTest, SendsOnlyWhatIsSet) {
  v1::OpenaiBackend config = Config();
  config.clear_api_key();
  config.set_max_tokens_member("max_tokens");
  Request request = ChatRequest();
  request.temperature = 0;
  request.top_p = 0.5;
  request.seed = 9007199254740993;
  const SendHttp sent = Sent(config, request);
  EXPECT_TRUE(std::holds_alternative<NoAuth>(sent.auth));
  EXPECT_THAT(sent.body, HasSubstr(R"("max_tokens":64,"temperature":0E0,"top_p":5E-1,"seed":9007199254740993})"));
}

TEST(OpenaiChatTest, SendsTheSchemaAsItIsConfigured) {
  Request request = ChatRequest();
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

TEST(OpenaiChatTest, ReadsAnAnswer) {
  const Answer answer = Answered(
      R"({"id":"c","model":"m-1-2026","choices":[{"index":0,"message":{"role":"assistant","content":"hi","refusal":null},)"
      R"("finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}})");
  EXPECT_EQ(answer.text, "hi");
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.input_tokens, 19);
  EXPECT_EQ(answer.output_tokens, 10);
  EXPECT_EQ(answer.reported_model, "m-1-2026");
}

// Returns a response with one choice.
std::string With(std::string choice, std::string usage = "null") {
  return R"({"choices":[)" + choice + R"(],"usage":)" + usage + "}";
}

TEST(OpenaiChatTest, ReadsDialectsOfCompatibleServers) {
  EXPECT_EQ(Answered(With(R"({"message":{"content":[{"type":"thinking","text":"hm"},{"type":"text","text":"a"},)"
                          R"({"type":"text","text":"b"}]},"finish_reason":"eos"})"))
                .text,
            "ab");
  EXPECT_EQ(Answered(With(R"({"message":{"content":"x","reasoning_content":"hm"},"finish_reason":"stop"})")).text, "x");
  EXPECT_EQ(Answered(With(R"({"message":{"content":"<think>hm</think>\n\nx"},"finish_reason":"stop"})")).text, "x");
  EXPECT_EQ(Answered(With(R"({"message":{"content":null},"finish_reason":"stop"})")).text, "");
  EXPECT_EQ(Answered(With(R"({"message":{},"finish_reason":"stop"})")).text, "");
  EXPECT_EQ(Answered(With(R"({"message":{"content":"{\"a"},"finish_reason":"length"})")).finish_reason,
            FinishReason::kLength);
  const Answer refused = Answered(With(R"({"message":{"content":null,"refusal":"I can't."},"finish_reason":"stop"})"));
  EXPECT_EQ(refused.finish_reason, FinishReason::kRefusal);
  EXPECT_EQ(refused.text, "I can't.");
  EXPECT_EQ(
      Answered(With(R"({"message":{"content":"x"},"finish_reason":"stop"})", R"({"prompt_tokens":7.0})")).input_tokens,
      7);
}

TEST(OpenaiChatTest, AnEmptyErrorBesideAnAnswerIsNone) {
  for (const char* error : {"{}", "\"\"", "null", "[]", "false", "0"}) {
    EXPECT_EQ(Answered(std::string(R"({"error":)") + error + R"(,)" +
                       With(R"({"message":{"content":"x"},"finish_reason":"stop"})").substr(1))
                  .text,
              "x")
        << error;
  }
}

TEST(OpenaiChatTest, AnEndThatIsNotKnownIsAFailureThatNamesTheRemedy) {
  const std::string none = With(R"({"message":{"content":"x"}})");
  const std::string odd = With(R"({"message":{"content":"x"},"finish_reason":"done"})");
  EXPECT_THAT(Failed(200, none).message, HasSubstr("ended without a finish reason"));
  EXPECT_THAT(Failed(200, odd).message,
              testing::AllOf(HasSubstr("ended with the finish reason `done`"), HasSubstr("stop_reasons")));
  v1::OpenaiBackend config = Config();
  config.add_stop_reasons("");
  config.add_stop_reasons("done");
  EXPECT_EQ(Answered(none, config).text, "x");
  EXPECT_EQ(Answered(odd, config).text, "x");
}

TEST(OpenaiChatTest, ACallOfAToolIsAFailure) {
  const std::string call = R"("tool_calls":[{"id":"1","type":"function","function":{"name":"rm","arguments":"{}"}}])";
  for (const char* finish : {"stop", "tool_calls"}) {
    const std::string body = With(R"({"message":{"content":"x",)" + call + R"(},"finish_reason":")" + finish + "\"}");
    EXPECT_THAT(Failed(200, body).message, HasSubstr("the model called the tool `rm`"));
  }
  EXPECT_EQ(Answered(With(R"({"message":{"content":"x","tool_calls":[]},"finish_reason":"stop"})")).text, "x");
}

TEST(OpenaiChatTest, RefusesProtocolViolations) {
  for (
      const std::string body :
      {"", "<html>", "[]", "{}", R"({"choices":[]})", R"({"choices":[{"text":"old"}]})", R"({"choices":{}})",
       R"({"choices":[{"message":{"content":{"a":1}},"finish_reason":"stop"}]})",
       R"({"choices":[{"message":{"content":"a"},"finish_reason":"stop"},{"message":{"content":"b"},"finish_reason":"stop"}]})"}) {
    const Failure failure = Failed(200, body);
    EXPECT_EQ(failure.outcome, Outcome::kAnsweredBad) << body;
    EXPECT_EQ(failure.reason, Reason::kBadResponse);
  }
  EXPECT_EQ(Failed(302, "").outcome, Outcome::kAnsweredBad);
}

TEST(OpenaiChatTest, FailuresNameTheRequest) {
  EXPECT_EQ(Failed(200, "hello", {{"x-request-id", "req_9"}}).message,
            "the answer is not JSON (syntax error): hello (request req_9)");
}

// --- Azure and other hosts, by configuration ---

TEST(OpenaiChatTest, AzuresDatedApiHasTheModelInItsPath) {
  v1::OpenaiBackend config = Config();
  config.set_base_url("https://r.openai.azure.com/openai");
  config.set_api_version("2024-10-21");
  Request request = ChatRequest();
  request.model = "my model/4";
  const SendHttp sent = Sent(config, request);
  EXPECT_EQ(sent.url,
            "https://r.openai.azure.com/openai/deployments/my%20model%2F4/chat/completions?api-version=2024-10-21");
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).header, "api-key");
  EXPECT_EQ(std::get<HeaderAuth>(sent.auth).scheme, "");
  EXPECT_EQ(Sent(config, EmbedRequest{.model = "e", .texts = {"a"}, .dimensions = {}}).url,
            "https://r.openai.azure.com/openai/deployments/e/embeddings?api-version=2024-10-21");
}

TEST(OpenaiChatTest, TheKeysHeaderIsConfigured) {
  v1::OpenaiBackend config = Config();
  config.set_key_header("Ocp-Apim-Subscription-Key");
  EXPECT_EQ(std::get<HeaderAuth>(Sent(config, ChatRequest()).auth).header, "Ocp-Apim-Subscription-Key");
  EXPECT_EQ(std::get<HeaderAuth>(Sent(config, ChatRequest()).auth).scheme, "");
  config.set_api_version("2024-10-21");
  config.set_key_header("authorization");
  EXPECT_EQ(std::get<HeaderAuth>(Sent(config, ChatRequest()).auth).scheme, "Bearer ");
}

TEST(OpenaiChatTest, SendsConfiguredHeaders) {
  v1::OpenaiBackend config = Config();
  config.set_organization("org-1");
  config.set_project("proj_2");
  (*config.mutable_extra_headers())["X-Title"] = "Millrace";
  (*config.mutable_extra_headers())["HTTP-Referer"] = "https://example.org";
  EXPECT_THAT(Sent(config, ChatRequest()).headers,
              testing::ElementsAre(Pair("Content-Type", "application/json"), Pair("User-Agent", "millrace"),
                                   Pair("OpenAI-Organization", "org-1"), Pair("OpenAI-Project", "proj_2"),
                                   Pair("HTTP-Referer", "https://example.org"), Pair("X-Title", "Millrace"),
                                   Pair("Accept", "application/json")));
}

TEST(OpenaiChatTest, HeadersThatCannotBeConfiguredAreRefused) {
  const auto violations = [](const std::string& name, const std::string& value) {
    v1::OpenaiBackend config = Config();
    config.set_key_header("X-Key");
    (*config.mutable_extra_headers())["X-Title"] = "a";
    (*config.mutable_extra_headers())[name] = value;
    std::string all;
    for (const FieldViolation& violation : openai::CheckEndpoint(config)) {
      all += violation.field + ": " + violation.description + "\n";
    }
    return all;
  };
  EXPECT_EQ(violations("X-Other", "b c"), "");
  EXPECT_EQ(violations("Content-Length", "1"), "extra_headers.Content-Length: is set by the backend itself\n");
  EXPECT_THAT(violations("AUTHORIZATION", "Bearer x"), HasSubstr("carries a secret: configure it by `api_key`"));
  EXPECT_EQ(violations("x-key", "k"), "extra_headers.x-key: is the header of the API key\n");
  EXPECT_THAT(violations("x-title", "b"), HasSubstr("is the same header as `X-Title`"));
  for (const std::string& value : std::vector<std::string>{"a\r\nb", " key", "key ", "é", std::string(5000, 'x')}) {
    EXPECT_THAT(violations("X-Other", value), testing::AllOf(HasSubstr("printable ASCII"), Not(HasSubstr(value))));
  }
  v1::OpenaiBackend azure = Config();
  azure.set_api_version("2024-10-21");
  ASSERT_EQ(openai::CheckEndpoint(azure).size(), 1u);
  EXPECT_EQ(openai::CheckEndpoint(azure)[0].field, "api_version");
}

}  // namespace
}  // namespace millrace::backend
