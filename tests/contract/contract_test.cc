// The contract of backends: cases that every backend passes, in the bytes of its own protocol (dialect.h). A response
// is read whole, byte by byte, split at every byte, and as a stored response, always with one result (drive.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>

#include "server/base/json.h"
#include "server/base/utf8.h"
#include "tests/contract/dialect.h"
#include "tests/contract/drive.h"

namespace millrace::backend {
namespace {

using testing::AnyOf;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;

Request Question() {
  Request request;
  request.model = "m-1";
  request.messages = {{"system", "Be short."}, {"user", "Say \"hello\"."}};
  request.max_tokens = 64;
  request.wants_deltas = true;
  return request;
}

class Contract : public testing::TestWithParam<NamedDialect> {
 protected:
  // Returns the response that says this; skips the test if the protocol can't.
  Response Say(const Said& said) {
    std::optional<Response> response = dialect_->Say(said);
    EXPECT_TRUE(response.has_value());
    return response ? *std::move(response) : Response{.status = 200, .headers = {}, .body = {}};
  }

  MakeExchange Asks(backend::Question question) {
    return [this, question = std::move(question)] { return backend_->Start(question, 1); };
  }

  Ended Read(const Response& response) { return DriveAll(Asks(Question()), backend_->manifest(), response); }
  Ended Read(const Said& said) { return Read(Say(said)); }

  // Returns the answer; a test failure if there is none.
  Answer Answered(const Response& response) {
    const Ended ended = Read(response);
    const auto* done = std::get_if<Done>(&ended.action);
    EXPECT_NE(done, nullptr) << Shown(ended.action) << "\n" << response.body.substr(0, 500);
    return done == nullptr ? Answer() : done->answer;
  }
  Answer Answered(const Said& said) { return Answered(Say(said)); }

  Failure Failed(const Response& response) {
    const Ended ended = Read(response);
    const auto* fail = std::get_if<Fail>(&ended.action);
    EXPECT_NE(fail, nullptr) << Shown(ended.action) << "\n" << response.body.substr(0, 500);
    return fail == nullptr ? Failure() : fail->failure;
  }

  // Expects that a response is read as not being of the protocol, or as cut.
  void ExpectBad(const Response& response) {
    const Failure failure = Failed(response);
    EXPECT_THAT(OutcomeName(failure.outcome), AnyOf(Eq("ANSWERED_BAD"), Eq("PARTIAL"))) << failure.message;
  }

  const std::unique_ptr<Dialect> dialect_ = GetParam().make();
  const std::unique_ptr<Backend> backend_ = dialect_->MakeBackend("https://api.example");
};

INSTANTIATE_TEST_SUITE_P(Backends, Contract, testing::ValuesIn(Dialects()),
                         [](const auto& dialect) { return dialect.param.name; });

// --- Questions ---

TEST_P(Contract, EqualQuestionsAreEqualRequests) {
  const SendHttp first = RequestOf(*backend_->Start(Question(), 1));
  const SendHttp second = RequestOf(*dialect_->MakeBackend("https://api.example")->Start(Question(), 2));
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(first.url, second.url);
  EXPECT_EQ(first.headers, second.headers);
  EXPECT_TRUE(first.billable);
}

TEST_P(Contract, ARequestHasTheQuestionAndNoSecret) {
  const SendHttp send = RequestOf(*backend_->Start(Question(), 1));
  EXPECT_EQ(ParseJson(send.body).ok(), dialect_->is_json()) << send.body;
  EXPECT_THAT(send.body, HasSubstr(dialect_->is_json() ? "Say \\\"hello\\\"." : "Say \"hello\"."));
  for (const char* header : {"authorization", "api-key", "x-api-key", "host", "content-length"}) {
    EXPECT_EQ(HeaderOf(send.headers, header), "") << "the server sets " << header;
  }
}

TEST_P(Contract, EveryMessageIsSentInItsOrder) {
  Request request = Question();
  request.messages = {{"system", "s-1"}, {"system", "s-2"}, {"user", "u-1"}, {"assistant", "a-1"}, {"user", "u-2"}};
  const std::string body = RequestOf(*backend_->Start(request, 1)).body;
  EXPECT_THAT(body, testing::ContainsRegex("s-1.*s-2"));
  EXPECT_THAT(body, testing::ContainsRegex("u-1.*a-1.*u-2"));
}

TEST_P(Contract, ALongQuestionIsAskedLikeAShortOne) {
  Request request = Question();
  request.messages.push_back({"user", std::string(200'000, 'x')});
  const SendHttp send = RequestOf(*backend_->Start(request, 1));
  EXPECT_THAT(send.body, HasSubstr(request.messages.back().content));
  EXPECT_EQ(send.url, RequestOf(*backend_->Start(Question(), 1)).url);
  const Ended ended = DriveAll(Asks(request), backend_->manifest(), Say(Said()));
  ASSERT_TRUE(std::holds_alternative<Done>(ended.action)) << Shown(ended.action);
  EXPECT_EQ(std::get<Done>(ended.action).answer.text, "hello");
}

TEST_P(Contract, ASchemaIsSentAndItsAnswerIsKeptAsItIs) {
  Request request = Question();
  request.output_schema = R"({"type":"object","properties":{"zebra":{"type":"string"},"n":{"type":"integer"}}})";
  EXPECT_THAT(RequestOf(*backend_->Start(request, 1)).body, HasSubstr("zebra"));
  const Said said{.pieces = {R"({\"zebra\":)", R"( \"\u00e9\\\"\",)", R"(\"n\": 9007199254740993})"}};
  const Ended ended = DriveAll(Asks(request), backend_->manifest(), Say(said));
  ASSERT_TRUE(std::holds_alternative<Done>(ended.action)) << Shown(ended.action);
  EXPECT_EQ(std::get<Done>(ended.action).answer.text, R"({"zebra": "é\"","n": 9007199254740993})");
}

// --- Answers ---

TEST_P(Contract, ReadsAnAnswer) {
  const Answer answer = Answered(Said());
  EXPECT_EQ(answer.text, "hello");
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
  EXPECT_EQ(answer.input_tokens, 19);
  EXPECT_EQ(answer.output_tokens, 10);
  EXPECT_EQ(answer.reported_model, dialect_->model());
}

TEST_P(Contract, AStreamsDeltasAreTheText) {
  const auto exchange = backend_->Start(Question(), 1);
  RequestOf(*exchange);
  const Ended ended = Drive(*exchange, Say({.pieces = {"a", "", "é", "\\n", "\\ud83d\\ude00", "z"}}), 1);
  EXPECT_EQ(ended.deltas, dialect_->is_stream() ? "aé\n😀z" : "");
}

TEST_P(Contract, EndsAreKnownOrAFailure) {
  for (const auto& [ending, reason] : {std::pair{Ending::kLength, FinishReason::kLength},
                                       {Ending::kContentFilter, FinishReason::kContentFilter},
                                       {Ending::kRefusal, FinishReason::kRefusal}}) {
    const std::optional<Response> response = dialect_->Say({.ending = ending});
    if (response) {
      EXPECT_EQ(Answered(*response).finish_reason, reason);
    }
  }
  for (const Ending ending : {Ending::kUnknownReason, Ending::kNoReason}) {
    if (const std::optional<Response> response = dialect_->Say({.ending = ending})) ExpectBad(*response);
  }
}

TEST_P(Contract, AnEmptyAnswerIsAnAnswerWithoutText) {
  EXPECT_EQ(Answered(Said{.pieces = {}}).text, "");
  EXPECT_EQ(Answered(Said{.pieces = {""}}).text, "");
}

TEST_P(Contract, ACutAnswerIsNeverAnAnswer) {
  const Response whole = Say({.pieces = {"hel", "lo"}});
  const size_t needed = dialect_->BytesNeeded(whole);
  ASSERT_LE(needed, whole.body.size());
  for (size_t size = 0; size < needed; ++size) {
    Response cut = whole;
    cut.body.resize(size);
    const auto exchange = backend_->Start(Question(), 1);
    RequestOf(*exchange);
    const Ended ended = Drive(*exchange, cut, cut.body.size() + 1);
    const auto* fail = std::get_if<Fail>(&ended.action);
    ASSERT_NE(fail, nullptr) << size << " bytes are " << Shown(ended.action);
    if (dialect_->is_stream()) {
      EXPECT_EQ(OutcomeName(fail->failure.outcome), "PARTIAL") << size;
    }
  }
  EXPECT_EQ(Answered(Response{whole.status, whole.headers, whole.body.substr(0, needed)}).text, "hello");
}

TEST_P(Contract, UnknownMembersAreIgnored) {
  EXPECT_EQ(Answered(Said{.more = R"(,"x_new":{"a":[1,{"b":null}]},"timings":[])"}).text, "hello");
}

TEST_P(Contract, CountsThatAreNoneAreLeftOut) {
  for (const char* count :
       {"null", "-1", "1e18", "1e400", "1.5", "18446744073709551615", "\"7\"", "[]", "{}", "true"}) {
    const Answer answer = Answered(Said{.input_tokens = count, .output_tokens = count});
    EXPECT_EQ(answer.text, "hello") << count;
    EXPECT_EQ(answer.input_tokens, std::nullopt) << count;
    EXPECT_EQ(answer.output_tokens, std::nullopt) << count;
  }
  EXPECT_EQ(Answered(Said{.input_tokens = "0", .output_tokens = "7.0"}).output_tokens, 7);
}

TEST_P(Contract, TextKeepsWhatJsonCanSay) {
  EXPECT_EQ(Answered(Said{.pieces = {"a\\u0000b", "\\ud83d\\ude00"}}).text, std::string("a\0b😀", 7));
  EXPECT_EQ(Answered(Said{.pieces = {"a\\ud83d", "b\\ude00\\\\ud83d"}}).text,
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\\ud83d");
}

TEST_P(Contract, AByteOrderMarkIsLeftOut) {
  if (!dialect_->is_text()) GTEST_SKIP() << "the protocol is not text";
  Response response = Say({});
  response.body = "\xef\xbb\xbf" + response.body;
  EXPECT_EQ(Answered(response).text, "hello");
}

// --- Bad bytes ---

TEST_P(Contract, GarbageIsNotAnAnswer) {
  using namespace std::string_literals;
  for (const std::string& body : {""s,
                                  "\n"s,
                                  "<html><body>Welcome</body></html>"s,
                                  "null"s,
                                  "[]"s,
                                  "{}"s,
                                  "0"s,
                                  "\"hello\""s,
                                  "hello"s,
                                  "\0\0\0"s,
                                  "\xff\xfe"s,
                                  "{\"a\":"s,
                                  "data: \n\n"s,
                                  "data: hello\n\n"s,
                                  ":\n\n"s,
                                  "{}\n{}\n"s,
                                  std::string(64, '\0'),
                                  std::string(100'000, '['),
                                  std::string(3000, '\xff'),
                                  "{\"a\":" + std::string(5000, '[')}) {
    ExpectBad({.status = 200, .headers = {}, .body = body});
  }
}

TEST_P(Contract, TwoAnswersAreNotOne) {
  if (dialect_->is_stream()) GTEST_SKIP() << "a stream has ended before its second answer";
  Response response = Say({});
  response.body += response.body;
  ExpectBad(response);
}

TEST_P(Contract, TextThatIsNotUtf8OrHasARawNulIsBad) {
  for (const std::string& piece : {std::string("a\xff"), std::string("\xc3"), std::string("\xed\xa0\xbd")}) {
    ExpectBad(Say({.pieces = {piece}}));
  }
  if (!dialect_->is_json()) return;  // only JSON must escape them
  for (const std::string& piece : {std::string("a\0b", 3), std::string("a\nb")}) ExpectBad(Say({.pieces = {piece}}));
}

TEST_P(Contract, JsonThatIsTooDeepIsBad) {
  if (!dialect_->is_json()) GTEST_SKIP() << "the protocol is not JSON";
  for (const size_t depth : {100, 100'000}) {
    ExpectBad(Say({.more = ",\"x\":" + std::string(depth, '[') + std::string(depth, ']')}));
  }
}

TEST_P(Contract, AnErrorInsideAResponseIsAFailure) {
  const std::optional<Response> response = dialect_->FailInside();
  if (!response) GTEST_SKIP() << "the protocol has no such error";
  const Failure failure = Failed(*response);
  EXPECT_THAT(failure.message, HasSubstr("the server broke down"));
  EXPECT_EQ(OutcomeName(failure.outcome), dialect_->is_stream() ? "PARTIAL" : "SERVER_ERROR");
}

TEST_P(Contract, FloodsAreReadWithinBounds) {
  const std::string large(1u << 20, 'x');
  EXPECT_EQ(Answered(Said{.pieces = {large}}).text.size(), large.size());
  for (const std::string& filling :
       {std::string("x"), std::string("\n"), std::string("data: {}\n\n"), std::string("{}\n")}) {
    std::string flood;
    while (flood.size() < (9u << 20)) flood += filling;
    const auto exchange = backend_->Start(Question(), 1);
    RequestOf(*exchange);
    const Ended ended = Drive(*exchange, {.status = 200, .headers = {}, .body = flood}, 16384);
    ASSERT_TRUE(std::holds_alternative<Fail>(ended.action)) << Shown(ended.action).substr(0, 200);
  }
}

// Changes some bytes of an answer, thousands of times. Whatever it is then, it is an answer or a failure.
TEST_P(Contract, ChangedBytesAreAnAnswerOrAFailure) {
  uint64_t state = 7;
  const auto draw = [&](size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<size_t>(state >> 33) % below;
  };
  const std::string whole = Say({.pieces = {"h\\u00e9", "\\ud83d\\ude00", "lo"}}).body;
  int answers = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string body = whole;
    for (size_t edits = 1 + draw(3); edits > 0 && !body.empty(); --edits) {
      const size_t at = draw(body.size());
      const size_t size = std::min(body.size() - at, 1 + draw(20));
      switch (draw(5)) {
        case 0:
          body[at] = static_cast<char>(draw(256));
          break;
        case 1:
          body.erase(at, size);
          break;
        case 2:
          body.insert(at, body.substr(draw(body.size()), size));
          break;
        case 3:
          body.resize(at);
          break;
        default:
          body.insert(at, size, "{}[]\",:\\\n"[draw(9)]);
      }
    }
    const auto exchange = backend_->Start(Question(), 1);
    RequestOf(*exchange);
    const Response response{.status = 200, .headers = {{"content-type", "text/event-stream"}}, .body = body};
    const Ended ended = Drive(*exchange, response, 1 + draw(body.size() + 1));
    answers += std::holds_alternative<Done>(ended.action) ? 1 : 0;
    ASSERT_FALSE(testing::Test::HasFailure()) << i << ": " << body;
  }
  // Checksums notice every change.
  if (dialect_->is_text()) {
    EXPECT_GT(answers, 0);
  }
  EXPECT_LT(answers, 2000) << "changes are hardly noticed";
}

// --- Failures ---

TEST_P(Contract, StatusesAreClassified) {
  struct Row {
    int status;
    std::string_view outcome;
  };
  for (const Row& row : std::vector<Row>{{400, "REFUSED"},
                                         {401, "CREDENTIALS"},
                                         {403, "CREDENTIALS"},
                                         {404, "NO_MODEL"},
                                         {413, "REFUSED"},
                                         {429, "RATE_LIMITED"},
                                         {500, "SERVER_ERROR"},
                                         {502, "SERVER_ERROR"},
                                         {503, "OVERLOADED"}}) {
    EXPECT_EQ(OutcomeName(Failed(dialect_->Refuse(row.status)).outcome), row.outcome) << row.status;
    // A proxy's own words.
    for (const std::string& body : {std::string(), std::string("<html>no</html>"), std::string("{\"a\":["),
                                    std::string("{\"error\":[[]]}"), std::string(100'000, '[')}) {
      const Response response{.status = row.status, .headers = {}, .body = body};
      EXPECT_EQ(OutcomeName(Failed(response).outcome), row.outcome) << row.status << " " << body.substr(0, 100);
    }
  }
}

TEST_P(Contract, ARedirectIsNotFollowed) {
  for (const int status : {301, 302, 307, 308}) {
    ExpectBad({.status = status, .headers = {{"Location", "https://other.example/"}}, .body = ""});
  }
}

TEST_P(Contract, WaitsOfProvidersAreBounded) {
  const auto after = [&](std::string value) {
    Response response = dialect_->Refuse(429);
    response.headers.emplace_back("Retry-After", std::move(value));
    response.headers.emplace_back("Date", "Sat, 21 Nov 2026 11:00:00 GMT");
    return Failed(response).retry_after;
  };
  EXPECT_EQ(after("2"), std::chrono::seconds(2));
  EXPECT_EQ(after("Sat, 21 Nov 2026 11:00:30 GMT"), std::chrono::seconds(30));
  for (const char* value : {"", "-1", "nan", "soon", "2 s", "0x10", "Sat, 21 Nov 2026 10:59:00 GMT", "-1e18"}) {
    EXPECT_EQ(after(value), std::nullopt) << value;
  }
  for (const char* value : {"1e18", "1e300", "1e400", "inf", "99999999999999999999", "Sat, 21 Nov 9999 11:00:00 GMT"}) {
    ASSERT_NE(after(value), std::nullopt) << value;
    EXPECT_LE(*after(value), std::chrono::hours(24)) << value;
  }
}

TEST_P(Contract, AnErrorsMessageIsShortAndPrintable) {
  Response response = dialect_->Refuse(500);
  for (const std::string& body : {std::string(1u << 20, 'x'), std::string(2000, '\x1b'), std::string(2000, '\xff'),
                                  "{\"error\":{\"message\":\"" + std::string(1u << 20, 'x') + "\"}}"}) {
    response.body = body;
    const Failure failure = Failed(response);
    EXPECT_LE(failure.message.size(), 1024u);
    EXPECT_THAT(failure.message, Not(HasSubstr("\x1b")));
  }
}

// --- Embeddings ---

class EmbeddingContract : public Contract {
 protected:
  // Reads these vectors as the answer to three texts.
  std::string Embedded(const std::vector<std::string>& vectors, std::optional<int32_t> dimensions = std::nullopt) {
    const EmbedRequest request{
        .model = dialect_->embedding_model(), .texts = {"a", "b", "c"}, .dimensions = dimensions};
    return Shown(DriveAll(Asks(request), backend_->manifest(), *dialect_->Embed(vectors)).action);
  }
  void SetUp() override {
    if (!dialect_->Embed({})) GTEST_SKIP() << "the backend does not embed";
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, EmbeddingContract, testing::ValuesIn(Dialects()),
                         [](const auto& dialect) { return dialect.param.name; });

TEST_P(EmbeddingContract, VectorsAreInTheOrderOfTheTexts) {
  EXPECT_THAT(Embedded({"[1,0.5]", "[2,-0.25]", "[3,1e-3]"}), HasSubstr(" [1, 0.5] [2, -0.25] [3, 0.001]"));
  EXPECT_THAT(Embedded({"[1,2]", "[2,3]", "[3,4]"}, 2), HasSubstr("[3, 4]"));
}

TEST_P(EmbeddingContract, VectorsThatDoNotFitTheTextsAreBad) {
  for (const std::vector<std::string>& vectors : std::vector<std::vector<std::string>>{
           {},
           {"[1]", "[2]"},
           {"[1]", "[2]", "[3]", "[4]"},
           {"[1]", "[2]", "[3,3]"},
           {"[1]", "[2]", "[]"},
           {"[1]", "[2]", "null"},
           {"[1]", "[2]", "[null]"},
           {"[1]", "[2]", "[[3]]"},
           {"[1]", "[2]", "[\"3\"]"},
           {"[1]", "[2]", "[1e400]"},
           {"[1]", "[2]", "[1e39]"},
           {"[1]", "[2]", "[NaN]"},
           {"[1]", "[2]", "{}"},
       }) {
    EXPECT_THAT(Embedded(vectors), HasSubstr("failed ANSWERED_BAD BAD_RESPONSE")) << testing::PrintToString(vectors);
  }
  EXPECT_THAT(Embedded({"[1]", "[2]", "[3]"}, 2), HasSubstr("failed ANSWERED_BAD")) << "another size was requested";
}

TEST_P(EmbeddingContract, ErrorsAreClassifiedLikeThoseOfChats) {
  const EmbedRequest request{.model = dialect_->embedding_model(), .texts = {"a"}, .dimensions = {}};
  for (const auto& [status, outcome] : {std::pair{401, "CREDENTIALS"}, {404, "NO_MODEL"}, {429, "RATE_LIMITED"}}) {
    const Ended ended = DriveAll(Asks(request), backend_->manifest(), dialect_->Refuse(status));
    EXPECT_THAT(Shown(ended.action), HasSubstr(outcome));
  }
}

}  // namespace
}  // namespace millrace::backend
