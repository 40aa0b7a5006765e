#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/backends/openai_world.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(OpenaiStreamTest, AsksForAStreamIfSomebodyReadsIt) {
  Request request = ChatRequest();
  EXPECT_THAT(Sent(Config(), request).body, Not(HasSubstr("stream")));
  request.wants_deltas = true;
  const SendHttp sent = Sent(Config(), request);
  EXPECT_THAT(sent.body,
              HasSubstr(R"("max_completion_tokens":64,"stream":true,"stream_options":{"include_usage":true}})"));
  EXPECT_EQ(HeaderOf(sent.headers, "accept"), "text/event-stream");
}

TEST(OpenaiStreamTest, StreamsAreConfigured) {
  v1::OpenaiBackend config = Config();
  config.set_stream("always");
  config.set_stream_usage(false);
  Request request = ChatRequest();
  EXPECT_THAT(Sent(config, request).body, testing::EndsWith(R"("max_completion_tokens":64,"stream":true})"));
  config.set_stream("never");
  request.wants_deltas = true;
  EXPECT_THAT(Sent(config, request).body, Not(HasSubstr("stream")));
}

constexpr char kRole[] =
    R"(data: {"model":"m-1-2026","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})"
    "\n\n";
constexpr char kStop[] = R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
                         "\n\n";
constexpr char kDone[] = "data: [DONE]\n\n";

std::string Piece(const std::string& inside) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + inside + "\"}}]}\n\n";
}

TEST(OpenaiStreamTest, ReadsAStream) {
  const Answer answer = Answered(
      kRole + Piece("He") + Piece("y") + kStop +
      R"(data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}})" + "\n\n" + kDone);
  EXPECT_EQ(answer.text, "Hey");
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.input_tokens, 9);
  EXPECT_EQ(answer.output_tokens, 2);
  EXPECT_EQ(answer.reported_model, "m-1-2026");
}

TEST(OpenaiStreamTest, ReadsDialectsOfCompatibleServers) {
  const auto lines = [](std::string stream, const std::string& end) {
    for (size_t at = 0; (at = stream.find('\n', at)) != std::string::npos; at += end.size()) stream.replace(at, 1, end);
    return stream;
  };
  const std::string plain = kRole + Piece("Hey") + kStop + kDone;
  for (const char* end : {"\r\n", "\r"}) EXPECT_EQ(Answered(lines(plain, end)).text, "Hey");
  EXPECT_EQ(Answered(": ping\n\nretry: 5\nid: 7\nevent: message\n" + plain).text, "Hey");
  EXPECT_EQ(Answered("event: ping\ndata: hello\n\n" + plain).text, "Hey") << "an event of another type";
  EXPECT_EQ(Answered("data:\n\n" + plain).text, "Hey");
  EXPECT_EQ(Answered(kRole + Piece("Hey") + kStop).text, "Hey") << "without [DONE]";
  EXPECT_EQ(Answered(kRole + Piece("Hey") + kStop + "data: [DONE]").text, "Hey") << "without the last line end";
  EXPECT_EQ(Answered("data: {\"choices\":[],\ndata: \"prompt_filter_results\":[]}\n\n" + plain).text, "Hey");
  EXPECT_EQ(Answered(R"(data: {"error":{},"choices":[]})"
                     "\n\n" +
                     plain)
                .text,
            "Hey")
      << "an empty error";
  EXPECT_EQ(Answered(plain + Piece("again") + "data: rubbish\n\n").text, "Hey") << "what follows the end is not read";
  EXPECT_EQ(Answered(R"({"choices":[{"message":{"content":"Hey"},"finish_reason":"stop"}]})").text, "Hey")
      << "a whole answer to a request for a stream";
}

TEST(OpenaiStreamTest, ReasoningIsLeftOutOfTheText) {
  const std::string reasoning = R"(data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm","content":null}}]})"
                                "\n\n";
  EXPECT_EQ(Answered(reasoning + Piece("Hey") + kStop + kDone).text, "Hey");
  const Ended ended = Read(
      200, Piece(" <th") + Piece("ink>hm <") + Piece("/think") + Piece(">\\n") + Piece("\\n<b> y") + kStop + kDone);
  EXPECT_EQ(std::get<Done>(ended.action).answer.text, "<b> y");
  EXPECT_EQ(Answered(Piece("<th") + kStop + kDone).text, "<th") << "the beginning of a tag only";
}

TEST(OpenaiStreamTest, ARefusalIsNotAnAnswer) {
  const Answer answer = Answered(R"(data: {"choices":[{"index":0,"delta":{"refusal":"I can't."}}]})"
                                 "\n\n" +
                                 (kStop + std::string(kDone)));
  EXPECT_EQ(answer.finish_reason, FinishReason::kRefusal);
  EXPECT_EQ(answer.text, "I can't.");
}

TEST(OpenaiStreamTest, AStreamWithoutItsEndIsPartial) {
  for (const std::string& stream :
       {std::string(kRole), kRole + Piece("Hey"), kRole + Piece("Hey") + "data: {\"choices\":[{\"index\":0,\"fini",
        kRole + Piece("Hey") + kStop + "data: [DO", std::string(": ping\n\n")}) {
    const Failure failure = Failed(200, stream);
    EXPECT_EQ(OutcomeName(failure.outcome), "PARTIAL") << stream;
    EXPECT_EQ(failure.reason, Reason::kTargetFailed);
  }
  EXPECT_EQ(OutcomeName(Failed(200, "", {{"content-type", "text/event-stream"}}).outcome), "PARTIAL");
}

TEST(OpenaiStreamTest, AStreamThatIsNotUnderstoodIsBad) {
  for (const std::string& stream :
       {kRole + Piece("Hey") + kDone,                        // no finish reason
        Piece("Hey") + "data: rubbish\n\n" + kStop + kDone,  //
        Piece("Hey") + "data: [1]\n\n" + kStop + kDone,      //
        Piece("Hey") + kStop + Piece("again") + kDone,       // text after the end
        std::string(R"(data: {"choices":[{"index":1,"delta":{"content":"b"}}]})"
                    "\n\n") +
            kStop + kDone,
        std::string(R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]})"
                    "\n\n") +
            kStop + kDone}) {
    EXPECT_EQ(OutcomeName(Failed(200, stream).outcome), "ANSWERED_BAD") << stream;
  }
}

TEST(OpenaiStreamTest, AnErrorAfterTextIsPartial) {
  const std::string busy = "data: {\"error\":{\"message\":\"busy\",\"code\":\"server_is_overloaded\"}}\n\n";
  EXPECT_EQ(OutcomeName(Failed(200, kRole + busy).outcome), "OVERLOADED") << "no text before it";
  const Failure failure = Failed(200, kRole + Piece("Hey") + busy);
  EXPECT_EQ(OutcomeName(failure.outcome), "PARTIAL");
  EXPECT_EQ(failure.message, "HTTP 200, server_is_overloaded: busy");
  const std::string quota = "data: {\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"}}\n\n";
  EXPECT_EQ(OutcomeName(Failed(200, Piece("Hey") + quota).outcome), "QUOTA");
}

}  // namespace
}  // namespace millrace::backend
