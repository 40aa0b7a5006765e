// Questions, whole answers and errors of the bedrock backend.
#include "backends/bedrock/bedrock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/backends/bedrock_support.h"

namespace millrace::backend {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

json::value Json(std::string_view text) { return ParseJson(text).value_or(json::value()); }

std::string ConverseBody(std::string content, std::string stop = "end_turn", std::string usage = "{}") {
  return R"({"output":{"message":{"role":"assistant","content":[)" + content + R"(]}},"stopReason":")" + stop +
         R"(","usage":)" + usage + "}";
}

TEST(BedrockTest, SendsASignedRequest) {
  const SendHttp sent = Sent(BedrockRequest());
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.url, "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse");
  EXPECT_TRUE(sent.billable);
  const auto& auth = std::get<SigV4Auth>(sent.auth);
  EXPECT_EQ(auth.region, "us-east-1");
  EXPECT_EQ(auth.service, "bedrock");
  EXPECT_EQ(sent.body,
            R"({"messages":[{"role":"user","content":[{"text":"Say \"hi\"."}]}],"inferenceConfig":{"maxTokens":64},)"
            R"("system":[{"text":"Be short."}]})");
  EXPECT_EQ(MakeBedrockBackend(BedrockConfig())->manifest().protocol_family, "bedrock-converse");
}

TEST(BedrockTest, SendsAnApiKeyInsteadOfASignature) {
  v1::BedrockBackend config = BedrockConfig();
  config.mutable_api_key()->set_env("KEY");
  const SendHttp sent = Sent(BedrockRequest(), config);
  const auto& auth = std::get<HeaderAuth>(sent.auth);
  EXPECT_EQ(auth.header, "Authorization");
  EXPECT_EQ(auth.scheme, "Bearer ");
}

TEST(BedrockTest, SendsToTheEndpointOfItsRegionOrToItsOwn) {
  v1::BedrockBackend config;
  config.set_region("cn-north-1");
  EXPECT_THAT(Sent(BedrockRequest(), config).url,
              testing::StartsWith("https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/"));
  config.set_endpoint("http://127.0.0.1:4566//");
  EXPECT_EQ(Sent(BedrockRequest(), config).url, "http://127.0.0.1:4566/model/amazon.nova-lite-v1%3A0/converse");
}

// The vectors were made by botocore 1.44.5.
TEST(BedrockTest, SendsToTheUrlsOfAwsOwnClient) {
  int compared = 0;
  const json::value vectors = ReadVectors("bedrock_requests.json");
  for (const json::value& vector : vectors.at("requests").as_array()) {
    const std::string operation(vector.at("operation").as_string());
    const std::string model = vector.at("params").as_object().contains("modelId")
                                  ? std::string(vector.at("params").at("modelId").as_string())
                                  : "";
    Question question;
    if (operation == "Converse" || operation == "ConverseStream") {
      Request request = BedrockRequest();
      request.model = model;
      request.wants_deltas = operation == "ConverseStream";
      question = request;
    } else if (operation == "InvokeModel") {
      question = EmbedRequest{.model = model, .texts = {"x"}, .dimensions = 256};
    } else {
      continue;  // of batches and of models' own bodies
    }
    ++compared;
    const SendHttp sent = Sent(question);
    EXPECT_EQ(sent.method, std::string(vector.at("method").as_string()));
    EXPECT_EQ(sent.url, std::string(vector.at("url").as_string()));
    for (const auto& header : vector.at("headers").as_object()) {
      EXPECT_THAT(sent.headers,
                  testing::Contains(Pair(std::string(header.key()), std::string(header.value().as_string()))));
    }
  }
  EXPECT_EQ(compared, 6);
}

// The parts of the vectors' bodies that a question can have.
TEST(BedrockTest, WordsQuestionsLikeAwsOwnClient) {
  const json::value vectors = ReadVectors("bedrock_requests.json");
  const auto body = [&](size_t index) {
    return Json(std::string(vectors.at("requests").as_array()[index].at("body").as_string()));
  };
  Request request = BedrockRequest();
  request.messages = {{"user", "hi"}};
  EXPECT_EQ(Json(Sent(request).body).at("messages"), body(0).at("messages"));

  request.temperature = 0.25;
  request.top_p = 0.9;
  json::object limits = body(2).at("inferenceConfig").as_object();
  limits.erase("stopSequences");
  EXPECT_EQ(Json(Sent(request).body).at("inferenceConfig"), limits);

  request.output_schema = R"({"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]})";
  const json::value tools = Json(Sent(request).body).at("toolConfig");
  json::value expected = body(2).at("toolConfig");
  json::object& spec = expected.at("tools").at(0).at("toolSpec").as_object();
  spec["name"] = "answer";
  spec["description"] = "Takes the answer.";
  expected.at("toolChoice").at("tool").at("name") = "answer";
  EXPECT_EQ(tools, expected);

  request.output_schema = R"({"type":"object"})";
  v1::BedrockBackend config = BedrockConfig();
  config.set_schema_format("json_schema");
  EXPECT_EQ(Json(Sent(request, config).body).at("outputConfig"), body(3).at("outputConfig"));

  const EmbedRequest embed{.model = "amazon.titan-embed-text-v2:0", .texts = {"x"}, .dimensions = 256};
  EXPECT_EQ(Json(Sent(embed).body), Json(R"({"inputText":"x","dimensions":256})"));
}

TEST(BedrockTest, JoinsNeighboursWithOneRoleAndDropsBlankTexts) {
  Request request = BedrockRequest();
  request.messages = {{"system", "a"},    {"user", "b"},   {"user", " \n"}, {"user", "c"},
                      {"assistant", "d"}, {"system", "e"}, {"user", "f"}};
  const json::value body = Json(Sent(request).body);
  EXPECT_EQ(body.at("system"), Json(R"([{"text":"a"},{"text":"e"}])"));
  EXPECT_EQ(body.at("messages"), Json(R"([{"role":"user","content":[{"text":"b"},{"text":"c"}]},)"
                                      R"({"role":"assistant","content":[{"text":"d"}]},)"
                                      R"({"role":"user","content":[{"text":"f"}]}])"));
}

TEST(BedrockTest, DescribesASchemaThatNoToolCanHave) {
  const Request list = BedrockRequest(R"({"type":"array"})");
  const json::value body = Json(Sent(list).body);
  EXPECT_FALSE(body.as_object().contains("toolConfig"));
  EXPECT_THAT(std::string(body.at("system").at(1).at("text").as_string()),
              HasSubstr(R"(JSON Schema, and with nothing else:
{"type":"array"})"));
  v1::BedrockBackend config = BedrockConfig();
  config.set_schema_format("none");
  EXPECT_FALSE(Json(Sent(BedrockRequest(kObjectSchema), config).body).as_object().contains("toolConfig"));
}

TEST(BedrockTest, RefusesQuestionsThatConverseHasNoWordsFor) {
  const auto refused = [](const Request& request) { return std::get<Fail>(Begun(request)).failure; };
  Request request = BedrockRequest();
  request.seed = 7;
  EXPECT_EQ(refused(request).outcome, Outcome::kRefused);
  EXPECT_THAT(refused(request).message, HasSubstr("leave `seed` out"));
  request = BedrockRequest();
  request.messages = {{"system", "a"}, {"user", " "}};
  EXPECT_EQ(refused(request).reason, Reason::kRequestRefused);
  request.messages = {{"tool", "a"}};
  EXPECT_THAT(refused(request).message, HasSubstr("no role `tool`"));
}

TEST(BedrockTest, ReadsAnAnswer) {
  const Answer answer = Answered(
      BedrockRequest(),
      ConverseBody(R"({"reasoningContent":{"reasoningText":{"text":"hm"}}},{"text":"Hel"},{"new":1},{"text":"lo"})",
                   "end_turn", R"({"inputTokens":9,"outputTokens":4,"totalTokens":13})"));
  EXPECT_EQ(answer.text, "Hello");
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.input_tokens, 9);
  EXPECT_EQ(answer.output_tokens, 4);
}

TEST(BedrockTest, ReadsTheInputOfTheToolAsTheAnswer) {
  const Request request = BedrockRequest(kObjectSchema);
  const std::string call = R"({"toolUse":{"toolUseId":"t","name":"answer","input":{"city":"Paris"}}})";
  EXPECT_EQ(Answered(request, ConverseBody(R"({"text":"Sure."},)" + call, "tool_use")).text, R"({"city":"Paris"})");
  EXPECT_EQ(Answered(request, ConverseBody(R"({"toolUse":{"toolUseId":"t","name":"answer"}})", "tool_use")).text, "{}");
  EXPECT_EQ(Answered(request, ConverseBody(R"({"text":"{\"city\":1}"})")).text, R"({"city":1})")
      << "a model that ignores the tool";
  EXPECT_EQ(Failed(request, 200, ConverseBody(call + "," + call, "tool_use")).reason, Reason::kBadResponse)
      << "two answers";
}

TEST(BedrockTest, ReadsTheReasonOfTheEnd) {
  const auto finish = [](std::string stop) {
    return Answered(BedrockRequest(), ConverseBody(R"({"text":"x"})", stop)).finish_reason;
  };
  EXPECT_EQ(finish("end_turn"), FinishReason::kStop);
  EXPECT_EQ(finish("stop_sequence"), FinishReason::kStop);
  EXPECT_EQ(finish("max_tokens"), FinishReason::kLength);
  EXPECT_EQ(finish("model_context_window_exceeded"), FinishReason::kLength);
  EXPECT_EQ(finish("guardrail_intervened"), FinishReason::kContentFilter);
  EXPECT_EQ(finish("content_filtered"), FinishReason::kContentFilter);
  EXPECT_EQ(finish("refusal"), FinishReason::kRefusal);
  for (const char* stop : {"", "tool_use", "malformed_model_output", "malformed_tool_use", "something_new"}) {
    const Failure failure = Failed(BedrockRequest(), 200, ConverseBody(R"({"text":"x"})", stop));
    EXPECT_EQ(failure.outcome, Outcome::kAnsweredBad) << stop;
    EXPECT_EQ(failure.reason, Reason::kBadResponse) << stop;
  }
}

TEST(BedrockTest, CountsTokensOfThePromptCacheAsInput) {
  const auto input = [](std::string model, std::string usage) {
    Request request = BedrockRequest();
    request.model = std::move(model);
    return Answered(request, ConverseBody(R"({"text":"x"})", "end_turn", usage)).input_tokens;
  };
  const std::string usage =
      R"({"inputTokens":50,"outputTokens":12,"totalTokens":62,"cacheReadInputTokens":40,"cacheWriteInputTokens":2})";
  EXPECT_EQ(input("us.anthropic.claude", usage), 92);
  EXPECT_EQ(input("openai.gpt-oss-120b-1:0", usage), 50) << "the total shows that they are inside";
  for (const char* absurd : {"{}", R"({"inputTokens":-1})", R"({"inputTokens":1e18})", R"({"inputTokens":"7"})",
                             R"({"inputTokens":1.5})", "null", "[]"}) {
    EXPECT_EQ(input("m", absurd), std::nullopt) << absurd;
  }
}

TEST(BedrockTest, RefusesResponsesThatViolateTheProtocol) {
  for (const std::string& body :
       {std::string("<html>"), std::string("[]"), std::string("{}"), std::string(100'000, '['),
        std::string(R"({"output":{"message":{"content":"x"}},"stopReason":"end_turn"})"),
        std::string("{\"output\":{\"message\":{\"content\":[{\"text\":\"\xff\"}]}},\"stopReason\":\"end_turn\"}"),
        ConverseBody(R"({"text":"x"})") + ConverseBody(R"({"text":"y"})")}) {
    const Failure failure = Failed(BedrockRequest(), 200, body);
    EXPECT_EQ(failure.outcome, Outcome::kAnsweredBad) << body.substr(0, 80);
    EXPECT_EQ(failure.reason, Reason::kBadResponse) << body.substr(0, 80);
  }
  EXPECT_EQ(Failed(BedrockRequest(), 302, "").outcome, Outcome::kAnsweredBad);
  EXPECT_EQ(Failed(BedrockRequest(), 200, "").outcome, Outcome::kPartial) << "nothing of the answer came";
}

TEST(BedrockTest, ClassifiesErrors) {
  struct Row {
    int status;
    std::string name;
    std::string message;
    Outcome outcome;
    Reason reason;
  };
  for (const Row& row : std::initializer_list<Row>{
           {403, "AccessDeniedException", "m", Outcome::kCredentials, Reason::kProviderCredentials},
           {403, "ExpiredTokenException", "m", Outcome::kCredentials, Reason::kProviderCredentials},
           {400, "IncompleteSignature", "m", Outcome::kCredentials, Reason::kProviderCredentials},
           {403, "", "", Outcome::kCredentials, Reason::kProviderCredentials},
           {400, "ValidationException", "m", Outcome::kRefused, Reason::kRequestRefused},
           {400, "ValidationException", "Input is too long for requested model.", Outcome::kRefused,
            Reason::kPromptTooLong},
           {400, "ServiceQuotaExceededException", "m", Outcome::kQuota, Reason::kProviderQuota},
           {404, "ResourceNotFoundException", "m", Outcome::kNoModel, Reason::kProviderModel},
           {400, "ValidationException", "The provided model identifier is invalid.", Outcome::kNoModel,
            Reason::kProviderModel},
           {408, "ModelTimeoutException", "m", Outcome::kUnknown, Reason::kTargetFailed},
           {424, "ModelErrorException", "m", Outcome::kServerError, Reason::kTargetFailed},
           {429, "ThrottlingException", "m", Outcome::kRateLimited, Reason::kTargetFailed},
           {429, "ModelNotReadyException", "m", Outcome::kOverloaded, Reason::kTargetFailed},
           {500, "InternalServerException", "m", Outcome::kServerError, Reason::kTargetFailed},
           {503, "ServiceUnavailableException", "m", Outcome::kOverloaded, Reason::kTargetFailed},
           {502, "", "", Outcome::kServerError, Reason::kTargetFailed},
           {529, "", "", Outcome::kOverloaded, Reason::kTargetFailed},
           {418, "SomethingNewException", "m", Outcome::kRefused, Reason::kRequestRefused},
       }) {
    const std::string body = R"({"message":")" + row.message + R"("})";
    const std::vector<std::pair<std::string, Headers>> places = {
        {body, {{"X-Amzn-ErrorType", row.name + ":http://internal.amazon.com/coral/"}}},
        {R"({"__type":"com.amazon.coral.service#)" + row.name + R"(","message":")" + row.message + R"("})", {}}};
    for (const auto& [text, headers] : places) {
      const Failure failure = Failed(BedrockRequest(), row.status, text, headers);
      EXPECT_EQ(static_cast<int>(failure.outcome), static_cast<int>(row.outcome)) << row.status << " " << row.name;
      EXPECT_EQ(failure.reason, row.reason) << row.status << " " << row.name;
      EXPECT_EQ(failure.http_status, row.status);
    }
  }
}

TEST(BedrockTest, ClassifiesAModelsErrorByTheModelsStatus) {
  const auto outcome = [](int status) {
    return Failed(BedrockRequest(), 424, R"({"message":"m","originalStatusCode":)" + std::to_string(status) + "}",
                  {{"x-amzn-ErrorType", "ModelErrorException"}})
        .outcome;
  };
  EXPECT_EQ(outcome(400), Outcome::kRefused);
  EXPECT_EQ(outcome(503), Outcome::kServerError);
}

TEST(BedrockTest, QuotesTheProvidersMessage) {
  EXPECT_EQ(Failed(BedrockRequest(), 429, R"({"message":"slow\ndown"})",
                   {{"x-amzn-ErrorType", "ThrottlingException"}, {"x-amzn-RequestId", "id-1"}})
                .message,
            "HTTP 429, ThrottlingException: slow\\ndown (request id-1)");
  EXPECT_EQ(Failed(BedrockRequest(), 502, "<html>bad").message, "HTTP 502: <html>bad");
  EXPECT_EQ(Failed(BedrockRequest(), 403,
                   R"({"message":"wrong.\n\nThe Canonical String for this request should have been\n'POST t0ken'"})")
                .message,
            "HTTP 403: wrong.")
      << "the quoted request has a session token";
  EXPECT_LE(Failed(BedrockRequest(), 500, R"({"message":")" + std::string(10'000, 'x') + "\"}").message.size(), 1024u);
}

TEST(BedrockTest, ReadsTheRetryDelay) {
  const auto after = [](Headers headers) {
    return Failed(BedrockRequest(), 429, "{}", std::move(headers)).retry_after;
  };
  EXPECT_EQ(after({}), std::nullopt);
  EXPECT_EQ(after({{"Retry-After", "2"}}), 2s);
  EXPECT_EQ(after({{"X-Amz-Retry-After", "1500"}, {"Retry-After", "2"}}), 1500ms);
  for (const char* bad : {"-1", "nan", "", "1.5x"}) {
    EXPECT_EQ(after({{"retry-after", bad}}), std::nullopt) << bad;
  }
  EXPECT_EQ(after({{"retry-after", "99999999999999999999"}}), std::chrono::hours(24));
}

EmbedRequest Embed(std::string model, std::vector<std::string> texts) {
  return {.model = std::move(model), .texts = std::move(texts), .dimensions = std::nullopt};
}

TEST(BedrockTest, EmbedsByTitan) {
  const EmbedRequest request = Embed("amazon.titan-embed-text-v2:0", {"x"});
  EXPECT_EQ(Sent(request).url,
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-embed-text-v2%3A0/invoke");
  const Answer answer = Answered(request, R"({"embedding":[0.5,-1,2e-1],"inputTextTokenCount":3})");
  EXPECT_THAT(answer.vectors, ElementsAre(ElementsAre(0.5f, -1.f, 0.2f)));
  EXPECT_EQ(answer.input_tokens, 3);
  EXPECT_THAT(Answered(request, R"({"embeddingsByType":{"float":[1]}})").vectors, ElementsAre(ElementsAre(1.f)));
}

TEST(BedrockTest, EmbedsByCohere) {
  EmbedRequest request = Embed("us.cohere.embed-v4:0", {"x", "y"});
  request.dimensions = 2;
  EXPECT_EQ(Json(Sent(request).body), Json(R"({"texts":["x","y"],"input_type":"search_document","truncate":"NONE",)"
                                           R"("embedding_types":["float"],"output_dimension":2})"));
  const Headers headers = {{"X-Amzn-Bedrock-Input-Token-Count", "7"}};
  for (const char* vectors : {"[[1,2],[3,4]]", R"({"float":[[1,2],[3,4]]})"}) {
    const Answer answer = Answered(request, R"({"id":"i","embeddings":)" + std::string(vectors) + "}", headers);
    EXPECT_THAT(answer.vectors, ElementsAre(ElementsAre(1.f, 2.f), ElementsAre(3.f, 4.f)));
    EXPECT_EQ(answer.input_tokens, 7);
  }
  EXPECT_THAT(MakeBedrockBackend(BedrockConfig())->manifest().kept_headers,
              ElementsAre("x-amzn-bedrock-input-token-count"));
}

TEST(BedrockTest, RefusesWrongVectors) {
  const EmbedRequest titan = Embed("amazon.titan-embed-text-v1", {"x"});
  for (const char* body : {"", "{}", R"({"embedding":[]})", R"({"embedding":["1"]})", R"({"embedding":[1e300]})"}) {
    EXPECT_EQ(Failed(titan, 200, body).reason, Reason::kBadResponse) << body;
  }
  const EmbedRequest cohere = Embed("cohere.embed-english-v3", {"x", "y"});
  for (const char* body : {R"({"embeddings":[[1]]})", R"({"embeddings":[[1],[1,2]]})", R"({"embeddings":[1,2]})",
                           R"({"embeddings":{"int8":[[1],[2]]}})"}) {
    EXPECT_EQ(Failed(cohere, 200, body).reason, Reason::kBadResponse) << body;
  }
  EmbedRequest sized = Embed("amazon.titan-embed-text-v2:0", {"x"});
  sized.dimensions = 256;
  EXPECT_THAT(Failed(sized, 200, R"({"embedding":[1]})").message, HasSubstr("1 numbers instead of 256"));
  EXPECT_EQ(Failed(titan, 429, "{}").outcome, Outcome::kRateLimited);
}

TEST(BedrockTest, RefusesTextsThatAModelCanNotEmbed) {
  const auto message = [](const EmbedRequest& request) { return std::get<Fail>(Begun(request)).failure.message; };
  EXPECT_THAT(message(Embed("amazon.nova-lite-v1:0", {"x"})), HasSubstr("not an embedding model"));
  EXPECT_THAT(message(Embed("amazon.titan-embed-text-v2:0", {"x", "y"})), HasSubstr("1 to 1 texts"));
  EXPECT_THAT(message(Embed("cohere.embed-v4:0", std::vector<std::string>(97, "x"))), HasSubstr("1 to 96 texts"));
  EmbedRequest sized = Embed("cohere.embed-english-v3", {"x"});
  sized.dimensions = 256;
  EXPECT_THAT(message(sized), HasSubstr("a fixed size"));
}

}  // namespace
}  // namespace millrace::backend
