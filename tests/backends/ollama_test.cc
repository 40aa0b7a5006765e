// Answers: good ones however they are cut into pieces, and every class of bad ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/backends/ollama_support.h"

namespace millrace::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr size_t kWhole = 0;

std::string Line(const std::string& content) {
  return R"({"model":"tiny","created_at":"2026-11-30T21:50:01.5Z","message":{"role":"assistant","content":)" + content +
         "},\"done\":false}\n";
}

// The last line, of a prompt of 30 tokens and an answer of 5.
std::string LastLine(const std::string& reason = "stop",
                     const std::string& counts = R"("prompt_eval_count":30,"eval_count":5)") {
  return R"({"model":"tiny","message":{"role":"assistant","content":""},"done":true,"done_reason":")" + reason +
         "\",\"total_duration\":4935886791," + counts + "}\n";
}

std::string GoodStream() { return Line("\"Hi \"") + Line("\"\xc3\xa9\\ud83d\\ude00\"") + LastLine(); }
constexpr std::string_view kGoodText = "Hi \xc3\xa9\xf0\x9f\x98\x80";

Action Told(int status, std::string_view body) { return Tell(OllamaRequest(), status, body, kWhole).action; }

Answer Answered(std::string_view body) {
  Action action = Told(200, body);
  if (auto* fail = std::get_if<Fail>(&action)) {
    ADD_FAILURE() << fail->failure.message << " for " << body;
    return {};
  }
  return std::get<Done>(std::move(action)).answer;
}

Failure Failed(int status, std::string_view body) {
  Action action = Told(status, body);
  if (!std::holds_alternative<Fail>(action)) {
    ADD_FAILURE() << "answered: " << body;
    return {};
  }
  return std::get<Fail>(std::move(action)).failure;
}

TEST(OllamaTest, AStreamIsReadHoweverItIsCut) {
  const std::string stream = GoodStream();
  for (size_t bytes = 0; bytes <= stream.size(); ++bytes) {
    const Outcomes outcomes = Tell(OllamaRequest(), 200, stream, bytes);
    ASSERT_TRUE(std::holds_alternative<Done>(outcomes.action)) << bytes;
    const Answer& answer = std::get<Done>(outcomes.action).answer;
    ASSERT_EQ(answer.text, kGoodText) << bytes;
    ASSERT_EQ(outcomes.deltas, kGoodText) << bytes;
    ASSERT_EQ(answer.finish_reason, FinishReason::kStop);
    ASSERT_EQ(answer.input_tokens, 30);
    ASSERT_EQ(answer.output_tokens, 5);
    ASSERT_EQ(answer.reported_model, "tiny");
  }
}

TEST(OllamaTest, AStreamCutAnywhereIsPartial) {
  const std::string stream = GoodStream();
  for (size_t end = 0; end < stream.size() - 1; ++end) {
    const Failure failure = Failed(200, stream.substr(0, end));
    ASSERT_EQ(failure.outcome, Outcome::kPartial) << end << failure.message;
    ASSERT_EQ(failure.reason, Reason::kTargetFailed);
  }
  EXPECT_EQ(Answered(stream.substr(0, stream.size() - 1)).text, kGoodText) << "the last line end may be missing";
}

TEST(OllamaTest, AnAnswerThatWasNotStreamedIsOneLine) {
  const std::string body =
      R"({"model":"tiny","message":{"role":"assistant","content":"Hi"},"done_reason":"stop","done":true})";
  EXPECT_EQ(Answered(body).text, "Hi");
  EXPECT_EQ(Answered(body).input_tokens, std::nullopt);
}

TEST(OllamaTest, StoredBytesGiveTheResultOfTheResponse) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(OllamaConfig());
  const Action action =
      ReadStored(*backend->Start(OllamaRequest(), 1), {.status = 200, .headers = {}, .body = GoodStream()});
  ASSERT_TRUE(std::holds_alternative<Done>(action));
  EXPECT_EQ(std::get<Done>(action).answer.text, kGoodText);
}

TEST(OllamaTest, DeviationsThatDoNoHarmAreRead) {
  EXPECT_EQ(Answered("\r\n" + Line("\"a\"") + "\n \r\n" + LastLine()).text, "a") << "blank lines";
  EXPECT_EQ(Answered("\xef\xbb\xbf" + LastLine()).text, "") << "byte order mark";
  EXPECT_EQ(Answered(Line("\"a\\ud800\"") + LastLine()).text, "a\xef\xbf\xbd") << "half of a surrogate pair";
  EXPECT_EQ(Answered(Line("null") + Line("\"a\"") + LastLine()).text, "a");
  EXPECT_EQ(Answered("{\"new\":[{}],\"message\":{\"content\":\"a\",\"x\":1}}\n" + LastLine()).text, "a");
  EXPECT_EQ(Answered("{\"message\":{\"content\":\"a\"},\"error\":\"\"}\n" + LastLine()).text, "a") << "an empty error";
  EXPECT_EQ(Answered("{\"message\":{\"content\":\"\",\"thinking\":\"hm\"}}\n" + Line("\"a\"") + LastLine()).text, "a")
      << "thoughts are not part of the answer";
  EXPECT_EQ(Answered("{\"message\":{\"content\":\"a\",\"tool_calls\":[]}}\n" + LastLine()).text, "a");
  EXPECT_EQ(Answered(Line("\"<thi\"") + Line("\"nk>hm</think>\\n\\na\"") + LastLine()).text, "a");
  EXPECT_EQ(Answered(Line("\"<thi\"") + LastLine()).text, "<thi");
}

TEST(OllamaTest, AnAnswerThatTheLimitCutSaysSo) {
  EXPECT_EQ(Answered(Line("\"a\"") + LastLine("length")).finish_reason, FinishReason::kLength);
}

TEST(OllamaTest, OnlyKnownEndsAreGood) {
  for (const char* reason : {"", "load", "unload", "tool_calls", "STOP"}) {
    const Failure failure = Failed(200, Line("\"a\"") + LastLine(reason));
    EXPECT_EQ(failure.outcome, Outcome::kAnsweredBad) << reason;
    EXPECT_EQ(failure.reason, Reason::kBadResponse);
    EXPECT_THAT(failure.message, HasSubstr("done_reason"));
  }
  EXPECT_EQ(Failed(200, Line("\"a\"") + "{\"done\":true}").outcome, Outcome::kAnsweredBad);
  EXPECT_EQ(Failed(200, Line("\"a\"") + "{\"done\":\"true\",\"done_reason\":\"stop\"}").outcome, Outcome::kPartial);
}

TEST(OllamaTest, ViolationsOfTheProtocolAreBadAnswers) {
  for (const std::string& body :
       {std::string("<html>"), std::string("[]"), std::string("x\n"), std::string("1"), std::string("\"text\""),
        Line("\"a\"") + "garbage\n" + LastLine(), Line("\"a\\x\"") + LastLine(), Line("[\"a\"]") + LastLine(),
        Line("{}") + LastLine(), GoodStream() + GoodStream(), GoodStream() + "x",
        std::string("{\"done\":true,\"done_reason\":7}\n"),
        std::string("{\"a\":") + std::string(100'000, '[') + "\n" + LastLine(),
        std::string(1, '\0') + "\n" + LastLine(), Line("\"a\xff\"") + LastLine(),
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n" + LastLine(),
        std::string((16u << 20) + 1, 'x')}) {
    const Failure failure = Failed(200, body);
    EXPECT_EQ(failure.outcome, Outcome::kAnsweredBad) << body.substr(0, 200);
    EXPECT_EQ(failure.reason, Reason::kBadResponse);
    EXPECT_EQ(failure.http_status, 200);
    EXPECT_LE(failure.message.size(), 1024u);
  }
}

TEST(OllamaTest, AbsurdCountsAreUnknown) {
  for (const char* counts :
       {R"("prompt_eval_count":-1,"eval_count":-1)", R"("prompt_eval_count":1e18,"eval_count":1e18)",
        R"("prompt_eval_count":"9","eval_count":null)", R"("eval_count":0.5)"}) {
    const Answer answer = Answered(Line("\"a\"") + LastLine("stop", counts));
    EXPECT_EQ(answer.input_tokens, std::nullopt) << counts;
    EXPECT_EQ(answer.output_tokens, std::nullopt) << counts;
  }
}

TEST(OllamaTest, ATruncatedPromptIsNeverAnAnswer) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "word ";
  const auto told = [&](const std::string& counts) {
    return Tell(OllamaRequest(text), 200, Line("\"a\"") + LastLine("stop", counts), kWhole).action;
  };
  const auto cut = [&](const std::string& counts) {
    const Action action = told(counts);
    if (!std::holds_alternative<Fail>(action)) return std::string("answered");
    EXPECT_EQ(std::get<Fail>(action).failure.outcome, Outcome::kRefused);
    EXPECT_EQ(std::get<Fail>(action).failure.reason, Reason::kPromptTooLong);
    return std::get<Fail>(action).failure.message;
  };
  EXPECT_TRUE(std::holds_alternative<Done>(told(R"("prompt_eval_count":1300)")));
  EXPECT_TRUE(std::holds_alternative<Done>(told(R"("eval_count":3)")))
      << "an old server does not count what it remembers";
  EXPECT_THAT(cut(R"("prompt_eval_count":500)"), HasSubstr("read 500 tokens of the prompt, which has at least 1002"));
  EXPECT_THAT(cut(R"("prompt_eval_count":4096)"), HasSubstr("all that its context holds; raise `num_ctx` (now 4096)"));
  EXPECT_THAT(cut(R"("prompt_eval_count":4000,"eval_count":98)"), HasSubstr("forgot some while it wrote the answer"));
  EXPECT_TRUE(std::holds_alternative<Done>(told(R"("prompt_eval_count":4000,"eval_count":97)")));
}

TEST(OllamaTest, AnErrorInTheStreamIsAFailureOfItsOwnStatus) {
  const Failure crashed = Failed(200, Line("\"a\"") + "{\"error\":\"llama runner process has terminated\"}\n");
  EXPECT_EQ(crashed.outcome, Outcome::kPartial) << "the answer had begun";
  EXPECT_EQ(crashed.message, "HTTP 500: llama runner process has terminated");
  EXPECT_EQ(Failed(200, Line("\"a\"") + "{\"error\":\"no\",\"status\":400}\n").outcome, Outcome::kRefused);
  EXPECT_EQ(Failed(200, "{\"error\":{\"message\":\"m\",\"type\":\"t\"}}").message, "HTTP 500: t: m");
  EXPECT_EQ(Failed(200, "{\"error\":7}").message, "HTTP 500: 7");
  EXPECT_EQ(Failed(200, "{\"error\":\"llama runner process has terminated\"}").outcome, Outcome::kServerError);
  EXPECT_EQ(Failed(200, Line("\"a\"") + "{\"error\":\"server busy, please try again\"}").outcome, Outcome::kOverloaded);
}

TEST(OllamaTest, FailuresAreClassifiedByTextThenStatus) {
  struct Row {
    int status;
    std::string body;
    Outcome outcome;
    Reason reason;
  };
  const std::string inner =
      R"({"error":"{\"error\":{\"code\":400,\"message\":\"request (5000 tokens) exceeds the available context size\",)"
      R"(\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":5000,\"n_ctx\":4096}}"})";
  for (const Row& row : std::vector<Row>{
           {400, inner, Outcome::kRefused, Reason::kPromptTooLong},
           {400, R"({"error":"the input length exceeds the context length"})", Outcome::kRefused,
            Reason::kPromptTooLong},
           {500, R"({"error":"option \"num_ctx\" must be of type integer"})", Outcome::kRefused,
            Reason::kRequestRefused},
           {500, R"({"error":"invalid format: \"x\"; expected \"json\" or a valid JSON Schema object"})",
            Outcome::kRefused, Reason::kRequestRefused},
           {400, R"({"error":"\"tiny\" does not support chat"})", Outcome::kRefused, Reason::kRequestRefused},
           {400, "", Outcome::kRefused, Reason::kRequestRefused},
           {401, R"({"error":"unauthorized"})", Outcome::kCredentials, Reason::kProviderCredentials},
           {403, "", Outcome::kCredentials, Reason::kProviderCredentials},
           {404, R"({"error":"model 'tiny' not found"})", Outcome::kNoModel, Reason::kProviderModel},
           {404, "404 page not found", Outcome::kNoModel, Reason::kProviderModel},
           {408, "", Outcome::kServerError, Reason::kTargetFailed},
           {429, R"({"error":"too many requests"})", Outcome::kRateLimited, Reason::kTargetFailed},
           {499, R"({"error":"request canceled"})", Outcome::kServerError, Reason::kTargetFailed},
           {500, R"({"error":"CUDA error: out of memory"})", Outcome::kServerError, Reason::kTargetFailed},
           {500, R"({"error":"model requires more system memory (9 GiB) than is available"})", Outcome::kServerError,
            Reason::kTargetFailed},
           {500, R"({"error":"model runner has unexpectedly stopped"})", Outcome::kServerError, Reason::kTargetFailed},
           {502, "<html>bad gateway</html>", Outcome::kServerError, Reason::kTargetFailed},
           {503, R"({"error":"server busy, please try again.  maximum pending requests exceeded"})",
            Outcome::kOverloaded, Reason::kTargetFailed},
           {503, "", Outcome::kOverloaded, Reason::kTargetFailed},
           {302, "", Outcome::kAnsweredBad, Reason::kBadResponse},
       }) {
    for (const size_t bytes : {kWhole, size_t{1}}) {
      const Action action = Tell(OllamaRequest(), row.status, row.body, bytes).action;
      ASSERT_TRUE(std::holds_alternative<Fail>(action)) << row.status << row.body;
      const Failure& failure = std::get<Fail>(action).failure;
      EXPECT_EQ(static_cast<int>(failure.outcome), static_cast<int>(row.outcome)) << row.status << row.body;
      EXPECT_EQ(failure.reason, row.reason) << row.status << row.body;
      EXPECT_EQ(failure.http_status, row.status);
    }
  }
}

TEST(OllamaTest, MessagesSayWhatToDo) {
  EXPECT_EQ(Failed(404, R"({"error":"model 'tiny' not found"})").message,
            "HTTP 404: model 'tiny' not found; run `ollama pull tiny` on its machine");
  EXPECT_EQ(Failed(404, "404 page not found").message,
            "HTTP 404: 404 page not found; base_url is not that of an Ollama server");
  EXPECT_THAT(Failed(403, "").message, HasSubstr("write an IP address or localhost into base_url"));
  EXPECT_THAT(Failed(301, "").message, HasSubstr("correct base_url"));
  EXPECT_EQ(Failed(502, "<html>bad").message, "HTTP 502: <html>bad");
  const std::string nested = R"({"error":"{\"error\":{\"message\":\"m\",\"type\":\"t\"}}"})";
  EXPECT_EQ(Failed(400, nested).message, "HTTP 400: t: m");
  EXPECT_LE(Failed(500, std::string(1u << 20, 'x')).message.size(), 1024u);
  EXPECT_LE(Failed(500, std::string(1u << 20, '[')).message.size(), 1024u);
}

Action Embedded(int status, std::string_view body, size_t bytes = kWhole,
                std::optional<int32_t> dimensions = std::nullopt) {
  return Tell(EmbedRequest{.model = "tiny", .texts = {"a", "b c"}, .dimensions = dimensions}, status, body, bytes)
      .action;
}

TEST(OllamaTest, EmbeddingsAreReadInOrder) {
  const std::string body =
      R"({"model":"tiny","embeddings":[[0.5,-1],[1e-3,2]],"total_duration":14143917,"prompt_eval_count":8})";
  for (size_t bytes = 0; bytes <= body.size(); ++bytes) {
    const Action action = Embedded(200, body, bytes);
    ASSERT_TRUE(std::holds_alternative<Done>(action));
    const Answer& answer = std::get<Done>(action).answer;
    ASSERT_THAT(answer.vectors, ElementsAre(ElementsAre(0.5f, -1.f), ElementsAre(1e-3f, 2.f)));
    ASSERT_EQ(answer.input_tokens, 8);
    ASSERT_EQ(answer.reported_model, "tiny");
  }
  EXPECT_TRUE(std::holds_alternative<Done>(Embedded(200, R"({"embeddings":[[1],[2]],"error":null})", kWhole, 1)));
}

TEST(OllamaTest, BadEmbeddingsAreFailures) {
  for (const char* body :
       {"", "[]", "{}", R"({"embeddings":[]})", R"({"embeddings":[[1]]})", R"({"embeddings":[[1],[2],[3]]})",
        R"({"embeddings":[[1],[]]})", R"({"embeddings":[[1],[1,2]]})", R"({"embeddings":[[1],["2"]]})",
        R"({"embeddings":[[1],[1e39]]})", R"({"embeddings":[[1],2]})", R"({"embedding":[1]})"}) {
    const Action action = Embedded(200, body);
    ASSERT_TRUE(std::holds_alternative<Fail>(action)) << body;
    EXPECT_EQ(std::get<Fail>(action).failure.outcome, Outcome::kAnsweredBad) << body;
  }
  EXPECT_THAT(std::get<Fail>(Embedded(200, R"({"embeddings":[[1],[2]]})", kWhole, 16)).failure.message,
              HasSubstr("an embedding has 1 numbers instead of 16"));
  EXPECT_EQ(std::get<Fail>(Embedded(200, R"({"embeddings":[[1],[2]],"prompt_eval_count":2})")).failure.reason,
            Reason::kPromptTooLong);
  EXPECT_EQ(std::get<Fail>(Embedded(400, R"({"error":"the input length exceeds the context length"})")).failure.reason,
            Reason::kPromptTooLong);
  EXPECT_EQ(std::get<Fail>(Embedded(200, R"({"error":"model 'tiny' not found","status":404})")).failure.message,
            "HTTP 404: model 'tiny' not found; run `ollama pull tiny` on its machine");
}

}  // namespace
}  // namespace millrace::backend
