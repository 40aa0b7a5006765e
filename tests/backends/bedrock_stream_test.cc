// Streamed answers of the bedrock backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/backends/bedrock_support.h"
#include "tests/contract/event_message.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

const std::string kStart = EventBytes("messageStart", R"({"role":"assistant"})");
const std::string kStop = EventBytes("messageStop", R"({"stopReason":"end_turn"})");
const std::string kToolStop = EventBytes("messageStop", R"({"stopReason":"tool_use"})");
const std::string kMetadata = EventBytes("metadata", R"({"usage":{"inputTokens":5,"outputTokens":2}})");

std::string Text(const std::string& text) {
  return EventBytes("contentBlockDelta", R"({"delta":{"text":")" + text + R"("},"contentBlockIndex":0})");
}

const std::string kToolStart =
    EventBytes("contentBlockStart", R"({"start":{"toolUse":{"toolUseId":"t","name":"answer"}},"contentBlockIndex":1})");

std::string ToolInput(const std::string& escaped) {
  return EventBytes("contentBlockDelta",
                    R"({"delta":{"toolUse":{"input":")" + escaped + R"("}},"contentBlockIndex":1})");
}

Request Streamed(std::string schema = "") {
  Request request = BedrockRequest(std::move(schema));
  request.wants_deltas = true;
  return request;
}

// Reads a stream whole and split at every byte, and checks that each gives the same.
Told Read(const std::string& body, const Request& request = Streamed()) {
  const Response response{.status = 200, .headers = {}, .body = body};
  const Told whole = Tell(request, response);
  for (size_t split = 1; split < body.size(); ++split) {
    const Told told = Tell(request, response, split);
    EXPECT_EQ(told.action.index(), whole.action.index()) << "split at " << split;
    const auto* done = std::get_if<Done>(&told.action);
    if (done == nullptr || told.action.index() != whole.action.index()) continue;
    EXPECT_EQ(told.deltas, whole.deltas) << "split at " << split;
    EXPECT_EQ(done->answer.text, std::get<Done>(whole.action).answer.text) << "split at " << split;
  }
  // A stored response has the same result, with an exchange that would have asked for a whole answer, too.
  Request stored = request;
  stored.wants_deltas = false;
  const std::unique_ptr<Backend> backend = MakeBedrockBackend(BedrockConfig());
  EXPECT_EQ(ReadStored(*backend->Start(stored, 2), response).index(), whole.action.index());
  return whole;
}

Answer Answered(const std::string& body, const Request& request = Streamed()) {
  const Told told = Read(body, request);
  if (const auto* fail = std::get_if<Fail>(&told.action)) {
    ADD_FAILURE() << fail->failure.message;
    return {};
  }
  const Answer answer = std::get<Done>(told.action).answer;
  EXPECT_EQ(told.deltas, answer.text);
  return answer;
}

Failure Failed(const std::string& body, const Request& request = Streamed()) {
  const Told told = Read(body, request);
  const auto* fail = std::get_if<Fail>(&told.action);
  if (fail == nullptr) {
    ADD_FAILURE() << "an answer: " << std::get<Done>(told.action).answer.text;
    return {};
  }
  return fail->failure;
}

TEST(BedrockStreamTest, AsksForAStream) { EXPECT_THAT(Sent(Streamed()).url, testing::EndsWith("/converse-stream")); }

// The vectors were made by botocore 1.44.5.
TEST(BedrockStreamTest, ReadsStreamsOfAwsOwnClient) {
  std::map<std::string, std::string> streams;
  const json::value vectors = ReadVectors("converse_stream.json");
  for (const json::value& vector : vectors.at("streams").as_array()) {
    streams[std::string(vector.at("name").as_string())] = FromHex(std::string(vector.at("hex").as_string()));
  }
  EXPECT_EQ(streams.size(), 6u);

  const Answer text = Answered(streams.at("text"));
  EXPECT_EQ(text.text, "Hello");
  EXPECT_EQ(text.finish_reason, FinishReason::kStop);
  EXPECT_EQ(text.input_tokens, 5);
  EXPECT_EQ(text.output_tokens, 2);

  const Answer tool = Answered(streams.at("tool-use"), Streamed(kObjectSchema));
  EXPECT_EQ(tool.text, R"({"city":"Paris"})");
  EXPECT_EQ(tool.finish_reason, FinishReason::kStop);
  EXPECT_EQ(tool.input_tokens, 90);
  EXPECT_EQ(Failed(streams.at("tool-use")).reason, Reason::kBadResponse) << "nobody gave the model a tool";

  const Answer reasoned = Answered(streams.at("reasoning-then-text"));
  EXPECT_EQ(reasoned.text, "ok");
  EXPECT_EQ(reasoned.finish_reason, FinishReason::kLength);

  const Failure throttled = Failed(streams.at("throttled-midway"));
  EXPECT_EQ(throttled.outcome, Outcome::kRateLimited);
  EXPECT_EQ(throttled.message, "the stream ended with an error, ThrottlingException: Too many tokens, please wait");

  const Failure unmodelled = Failed(streams.at("unmodelled-error"));
  EXPECT_EQ(unmodelled.outcome, Outcome::kServerError);
  EXPECT_EQ(unmodelled.message, "the stream ended with an error, InternalFailure: boom");

  const Failure unfinished = Failed(streams.at("unknown-event-skipped"));
  EXPECT_EQ(unfinished.outcome, Outcome::kPartial);
  EXPECT_EQ(unfinished.message, "the stream ended without `metadata`");
}

TEST(BedrockStreamTest, SkipsUnknownEvents) {
  const std::string body = kStart + EventBytes("somethingNew", "not JSON") + Text("h\\u00fc") + EventBytes("ping", "") +
                           EventMessageBytes({{":message-type", "somethingNew"}}, "") + kStop + kMetadata;
  EXPECT_EQ(Answered(body).text, "h\u00fc");
}

TEST(BedrockStreamTest, AStreamThatIsCutAnywhereIsNotAnAnswer) {
  const std::string body = kStart + Text("Hel") + Text("lo") + kStop + kMetadata;
  for (size_t end = 1; end < body.size(); ++end) {
    const Told told = Tell(Streamed(), {.status = 200, .headers = {}, .body = body.substr(0, end)});
    const auto* fail = std::get_if<Fail>(&told.action);
    ASSERT_NE(fail, nullptr) << "cut at " << end;
    ASSERT_EQ(fail->failure.outcome, Outcome::kPartial) << "cut at " << end << ": " << fail->failure.message;
  }
}

TEST(BedrockStreamTest, ClassifiesExceptions) {
  const std::map<std::string, Outcome> outcomes = {
      {"throttlingException", Outcome::kRateLimited},     {"serviceUnavailableException", Outcome::kOverloaded},
      {"internalServerException", Outcome::kServerError}, {"validationException", Outcome::kRefused},
      {"modelStreamErrorException", Outcome::kPartial},   {"modelTimeoutException", Outcome::kUnknown},
      {"somethingNewException", Outcome::kPartial},
  };
  for (const auto& [name, outcome] : outcomes) {
    EXPECT_EQ(Failed(kStart + Text("x") + ExceptionBytes(name)).outcome, outcome) << name;
    EXPECT_EQ(Failed(kStart + Text("x") + kStop + ExceptionBytes(name)).outcome, outcome) << name << " after the end";
  }
  EXPECT_THAT(Failed(ExceptionBytes("modelStreamErrorException", R"({"originalMessage":"o","originalStatusCode":500})"))
                  .message,
              HasSubstr("ModelStreamErrorException: o"));
}

TEST(BedrockStreamTest, RefusesStreamsThatViolateTheProtocol) {
  for (const std::string& body : {
           kStart + Text("x") + kStop + Text("y") + kMetadata,
           kStart + Text("x") + kStop + kStop + kMetadata,
           kStart + kStart + Text("x") + kStop + kMetadata,
           kStart + EventBytes("contentBlockDelta", "not JSON") + kStop + kMetadata,
           kStart + Text("\xff") + kStop + kMetadata,
           kStart + Text("x") + EventBytes("messageStop", "{}") + kMetadata,
           kStart + Text("x") + EventBytes("messageStop", R"({"stopReason":"malformed_model_output"})") + kMetadata,
       }) {
    EXPECT_EQ(Failed(body).outcome, Outcome::kAnsweredBad);
  }
  std::string corrupted = kStart + Text("x") + kStop + kMetadata;
  corrupted[kStart.size() + 40] ^= 1;
  EXPECT_EQ(Failed(corrupted).reason, Reason::kBadResponse);
}

TEST(BedrockStreamTest, StreamsTheInputOfTheToolAlone) {
  const Request request = Streamed(kObjectSchema);
  EXPECT_EQ(Answered(kStart + Text("Sure.") + kToolStart + ToolInput("{\\\"city\\\"") + ToolInput(":1}") + kToolStop +
                         kMetadata,
                     request)
                .text,
            R"({"city":1})");
  EXPECT_EQ(Answered(kStart + kToolStart + ToolInput("") + kToolStop + kMetadata, request).text, "{}");
  EXPECT_EQ(Answered(kStart + Text("{}") + Text(" ") + kStop + kMetadata, request).text, "{} ")
      << "a model that ignores the tool";
  EXPECT_EQ(
      Failed(kStart + kToolStart + ToolInput("{}") + kToolStart + ToolInput("{}") + kToolStop + kMetadata, request)
          .reason,
      Reason::kBadResponse)
      << "two answers";
}

TEST(BedrockStreamTest, ReadsAWholeAnswerInsteadOfAStream) {
  const std::string body = R"({"output":{"message":{"content":[{"text":"x"}]}},"stopReason":"end_turn"})";
  const Told told = Tell(Streamed(), {.status = 200, .headers = {}, .body = body}, 10);
  EXPECT_EQ(std::get<Done>(told.action).answer.text, "x");
}

TEST(BedrockStreamTest, ReadsTheErrorOfARefusedStream) {
  const Told told =
      Tell(Streamed(), {.status = 429, .headers = {{"x-amzn-ErrorType", "ThrottlingException"}}, .body = "{}"});
  EXPECT_EQ(std::get<Fail>(told.action).failure.outcome, Outcome::kRateLimited);
}

}  // namespace
}  // namespace millrace::backend
