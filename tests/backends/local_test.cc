// Backend `local`: values by annotation and by type. A hostile question gets a refusal at most.
#include "backends/local/local.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>

#include "backends/local/embedding.h"
#include "backends/local/text.h"
#include "server/base/json.h"
#include "server/text/schema.h"

namespace millrace::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The schema of the pipeline news-events.
constexpr char kQuestion[] =
    "Storm floods Lisbon\n\n"
    "- Storm floods Lisbon\n"
    "- Thousands flee as storm reaches the coast of Portugal near Lisbon\n"
    "* Lisbon mayor: disaster\n\n"
    "Kind by keywords: disaster\n";

Request Question(std::string text, std::string schema = "") {
  Request request;
  request.model = "local";
  request.messages = {{"system", "Answer with a title."}, {"user", std::move(text)}};
  request.output_schema = std::move(schema);
  return request;
}

Action Asked(const Request& request) { return MakeLocal()->Start(request, 1)->Next(Resume{}); }

Answer Answered(const Request& request) {
  const Action action = Asked(request);
  const Done* done = std::get_if<Done>(&action);
  EXPECT_NE(done, nullptr) << std::get<Fail>(action).failure.message;
  return done == nullptr ? Answer() : done->answer;
}

std::string Filled(std::string text, std::string schema) {
  return Answered(Question(std::move(text), std::move(schema))).text;
}

// Returns the message of the refusal.
std::string Refused(std::string text, std::string schema) {
  const Action action = Asked(Question(std::move(text), std::move(schema)));
  const Fail* fail = std::get_if<Fail>(&action);
  if (fail == nullptr) return "answered: " + std::get<Done>(action).answer.text;
  EXPECT_EQ(fail->failure.outcome, Outcome::kRefused);
  EXPECT_EQ(fail->failure.reason, Reason::kRequestRefused);
  EXPECT_LE(fail->failure.message.size(), 1024u);
  return fail->failure.message;
}

TEST(LocalTest, SaysThatItIsNotAModel) {
  const std::unique_ptr<Backend> backend = MakeLocal();
  const Manifest& manifest = backend->manifest();
  EXPECT_EQ(manifest.kind, "local");
  EXPECT_EQ(manifest.protocol_family, "local");
  EXPECT_THAT(manifest.description, HasSubstr("instead of a model"));
  EXPECT_TRUE(manifest.free_of_charge);
  const Answer answer = Answered(Question(kQuestion));
  EXPECT_EQ(answer.input_tokens, 0);
  EXPECT_EQ(answer.output_tokens, 0);
  EXPECT_EQ(answer.reported_model, "");
}

TEST(LocalTest, AnswersAtOnceAndAlwaysTheSame) {
  const Request request = Question(kQuestion, R"({"type":"array"})");
  const std::unique_ptr<Backend> backend = MakeLocal();
  const std::string first = std::get<Done>(backend->Start(request, 1)->Next(Resume{})).answer.text;
  EXPECT_EQ(std::get<Done>(backend->Start(request, 2)->Next(Resume{})).answer.text, first);
  EXPECT_EQ(Answered(request).text, first);
}

TEST(LocalTest, FillsTheSchemaOfNewsEvents) {
  const std::string schema = R"x({"type":"object","required":["title","summary","kind"],"properties":{
    "title":{"type":"string","maxLength":200,"x-millrace-local":"first_line"},
    "summary":{"type":"string","maxLength":600,"x-millrace-local":"longest_line"},
    "kind":{"type":"string","enum":["conflict","disaster","other"],
            "x-millrace-local":{"regex":"Kind by keywords: (\\w+)"}}}})x";
  const std::string answer = Filled(kQuestion, schema);
  EXPECT_EQ(answer,
            R"({"title":"Storm floods Lisbon","summary":"Thousands flee as storm reaches the coast of Portugal near )"
            R"(Lisbon","kind":"disaster"})");
  EXPECT_TRUE(Schema::Parse(schema)->Check(*ParseJson(answer)).ok());
}

TEST(LocalTest, FollowsAnnotations) {
  EXPECT_EQ(Filled(kQuestion, R"({"type":"integer","x-millrace-local":"count_lines"})"), "5");
  EXPECT_EQ(Filled(kQuestion, R"({"type":"string","x-millrace-local":"count_lines"})"), R"("5")");
  EXPECT_EQ(Filled("", R"({"type":"boolean","x-millrace-local":"count_lines"})"), "false");
  EXPECT_EQ(Filled(kQuestion, R"({"type":"array","maxItems":2,"x-millrace-local":"top_terms"})"),
            R"(["Lisbon","Storm"])");
  EXPECT_EQ(Filled(kQuestion, R"({"type":"string","x-millrace-local":"top_terms","maxItems":2})"),
            R"("Lisbon, Storm")");
  EXPECT_EQ(Filled(kQuestion, R"({"x-millrace-local":{"const":{"a":[1]}}})"), R"({"a":[1]})");
  EXPECT_EQ(Filled("a1 b22 c", R"x({"type":"array","x-millrace-local":{"regex":"[a-z](\\d+)"}})x"), R"(["1","22"])");
  EXPECT_EQ(Filled("a1 b22 c", R"x({"type":"integer","x-millrace-local":{"regex":"b(\\d+)"}})x"), "22");
  EXPECT_EQ(Filled("a1 b22 c", R"({"type":"string","x-millrace-local":{"regex":"b\\d+"}})"), R"("b22")");
  EXPECT_EQ(Filled(kQuestion, R"({"$ref":"#/definitions/d","x-millrace-local":"count_lines",
                                  "definitions":{"d":{"type":"integer"}}})"),
            "5");
}

TEST(LocalTest, FillsByTypeIfAnAnnotationFindsNothing) {
  EXPECT_EQ(Filled("One. Two.", R"({"type":"string","x-millrace-local":{"regex":"\\d+"}})"), R"("One.")");
  EXPECT_EQ(Filled("red, blue, blue: green", R"x({"enum":["red","blue"],"x-millrace-local":{"regex":": (\\w+)"}})x"),
            R"("blue")");
}

TEST(LocalTest, AListHasEveryMatchOfItsPatternAndPerhapsNone) {
  const std::string pattern = R"("x-millrace-local":{"regex":"[a-z]+\\d"})";
  EXPECT_EQ(Filled("many words", R"({"type":"array",)" + pattern + R"(,"items":{"type":"string"}})"), "[]");
  EXPECT_EQ(Filled("abc1 d2", R"({"type":"array",)" + pattern + R"(,"items":{"type":"string","maxLength":2}})"),
            R"(["ab","d2"])");
  EXPECT_EQ(Filled("storm storm", R"({"type":"array","minItems":1,)" + pattern + R"(,"items":{"type":"string"}})"),
            R"(["storm"])");
}

TEST(LocalTest, FillsByType) {
  EXPECT_EQ(Filled("war, peace and war", R"({"enum":["peace","war"]})"), R"("war")");
  EXPECT_EQ(Filled("nothing of it", R"({"enum":["peace","war"]})"), R"("peace")");
  EXPECT_EQ(Filled("5 of 7, 7 of 9", R"({"enum":[5,7,null]})"), "7");
  EXPECT_EQ(Filled("One. Two.", R"({"type":"string"})"), R"("One.")");
  EXPECT_EQ(Filled("x", R"({"type":"integer","minimum":3})"), "3");
  EXPECT_EQ(Filled("x", R"({"type":"integer","exclusiveMinimum":3})"), "4");
  EXPECT_EQ(Filled("x", R"({"type":"number"})"), "0");
  EXPECT_EQ(Filled("true", R"({"type":"boolean"})"), "false");
  EXPECT_EQ(Filled("x", R"({"type":"null"})"), "null");
  EXPECT_EQ(Filled("x", R"({"type":["null"]})"), "null");
  EXPECT_EQ(Filled("Word.", R"({"type":["null","string"]})"), R"("Word.")");
  EXPECT_EQ(Filled("x", R"({"const":{"k":null}})"), R"({"k":null})");
  EXPECT_EQ(Filled("storm storm rain", R"({"type":"array","items":{"type":"string"}})"), R"(["storm","rain"])");
  EXPECT_EQ(Filled("storm", R"({"type":"array","items":{"type":"integer","minimum":2},"minItems":2})"), "[2,2]");
  EXPECT_EQ(Filled("war in Rome, rain in Rome, war", R"({"type":"array","items":{"enum":["sun","rain","war"]}})"),
            R"(["war","rain"])");
  EXPECT_EQ(Filled("", R"({"type":"array","minItems":1,"items":{"enum":["sun","rain"]}})"), R"(["sun"])");
  EXPECT_EQ(Filled("x", R"({"anyOf":[{"type":"integer"},{"type":"string"}]})"), "0");
  EXPECT_EQ(Filled("x", R"({"type":"object","properties":{"b":{"type":"boolean"},"a":{"type":"null"}}})"),
            R"({"b":false,"a":null})");
}

TEST(LocalTest, TakesTheFirstSentenceThatFits) {
  const std::string text = "A sentence that is much too long here. Short\none! Last.";
  EXPECT_EQ(Filled(text, R"({"type":"string","maxLength":10})"), R"("Short one!")");
  EXPECT_EQ(Filled("No. This one has enough.", R"({"type":"string","minLength":10})"), R"("This one has enough.")");
  EXPECT_EQ(Filled("Twelve words fit nowhere", R"({"type":"string","maxLength":13})"), R"("Twelve words")");
  EXPECT_EQ(Filled("Ünïcödë", R"({"type":"string","maxLength":3})"), R"("Ünï")");
  EXPECT_EQ(Filled("A heading\n\nand its text.", R"({"type":"string"})"), R"("A heading")");
}

TEST(LocalTest, AnswersWithASentenceWithoutASchema) {
  EXPECT_EQ(Answered(Question("First one.\nSecond one.")).text, "First one.");
  Request request = Question("one two three four five six seven");
  request.max_tokens = 2;
  EXPECT_LE(Answered(request).text.size(), 8u);
  request.messages.clear();
  EXPECT_EQ(Answered(request).text, "");
}

TEST(LocalTest, ReadsTheQuestionAndIgnoresLaterMessages) {
  Request request = Question("The question.", R"({"type":"string"})");
  request.messages.push_back({"assistant", "A wrong answer."});
  request.messages.push_back({"user", "That was wrong: repair it."});
  EXPECT_EQ(Answered(request).text, R"("The question.")");
}

TEST(LocalTest, AnswersEmptyTextsWithMinimalValues) {
  for (const char* text : {"", " \n\t\r\n ", "- \n* "}) {
    EXPECT_EQ(Filled(text, R"({"x-millrace-local":"first_line"})"), R"("")");
    EXPECT_EQ(Filled(text, R"({"x-millrace-local":"longest_line"})"), R"("")");
    EXPECT_EQ(Filled(text, R"({"type":"array","x-millrace-local":"top_terms"})"), "[]");
    EXPECT_EQ(Filled(text, R"({"type":"integer","x-millrace-local":"count_lines"})").size(), 1u);
    EXPECT_EQ(Filled(text, R"({"type":"integer","x-millrace-local":{"regex":"\\d+"}})"), "0");
  }
  EXPECT_EQ(Filled("x", "{}"), R"("x")");
  EXPECT_EQ(Filled("x", "true"), R"("x")");
}

// Some number parsers accept `Infantry` and `nan` as the start of a number.
TEST(LocalTest, GivesOnlyNumbersOfJson) {
  for (const char* text : {"Infantry", "nan", "inf", "1e999", "-inf", "x1"}) {
    EXPECT_EQ(Filled(text, R"({"type":"number","x-millrace-local":"first_line"})"), "0") << text;
    EXPECT_EQ(Filled(text, R"({"type":"integer","minimum":2,"x-millrace-local":"first_line"})"), "2") << text;
  }
  EXPECT_EQ(Filled("2.5 m", R"({"type":"number","x-millrace-local":"first_line"})"), "2.5E0");
  EXPECT_EQ(Filled("1e300", R"({"type":"integer","x-millrace-local":"first_line"})"), "9000000000000000");
}

TEST(LocalTest, RefusesUnknownAnnotations) {
  for (const char* annotation : {R"("second_line")", "3", "null", "[]", "{}", R"({"const":1,"regex":"x"})",
                                 R"({"regex":5})", R"({"regex":"("})", R"({"regex":"\\1"})"}) {
    EXPECT_THAT(Refused("x", std::string(R"({"type":"string","x-millrace-local":)") + annotation + "}"),
                HasSubstr("x-millrace-local"));
  }
  const std::string pattern(5000, 'a');
  EXPECT_THAT(Refused("x", R"({"x-millrace-local":{"regex":")" + pattern + R"("}})"), HasSubstr("too long"));
  EXPECT_LE(Refused("x", R"({"x-millrace-local":")" + std::string(100'000, 'y') + R"("})").size(), 1024u);
  EXPECT_THAT(Refused("x", "{"), HasSubstr("the schema"));
}

TEST(LocalTest, TerminatesOnRecursiveSchemas) {
  const std::string tree =
      R"({"type":"object","required":["name"],"properties":{"name":{"type":"string"},"parent":{"$ref":"#"},
          "children":{"type":"array","items":{"$ref":"#"}}}})";
  EXPECT_EQ(Filled("Oak.", tree), R"({"name":"Oak.","children":[]})");
  EXPECT_THAT(Refused("x", R"({"type":"object","required":["a","b"],
                               "properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}})"),
              HasSubstr("deep"));
  EXPECT_EQ(Filled("x", R"({"$ref":"#"})"), R"("x")");
  EXPECT_EQ(Filled("x", R"({"$ref":"#/nowhere"})"), R"("x")");
}

// Each definition contains the next one twice: four billion values from a few bytes.
TEST(LocalTest, RefusesSchemasWithTooManyValues) {
  std::string definitions;
  for (int i = 0; i < 31; ++i) {
    const std::string next = R"({"$ref":"#/definitions/d)" + std::to_string(i + 1) + R"("})";
    definitions += R"("d)" + std::to_string(i) + R"(":{"properties":{"a":)" + next + R"(,"b":)" + next + "}},";
  }
  EXPECT_THAT(Refused("x", R"({"$ref":"#/definitions/d0","definitions":{)" + definitions + R"("d31":{}}})"),
              HasSubstr("more than 10,000 values"));
  std::string lists = R"({"type":"integer"})";
  for (int i = 0; i < 20; ++i) lists = R"({"type":"array","minItems":100,"items":)" + lists + "}";
  EXPECT_THAT(Refused("x", lists), HasSubstr("more than 10,000 values"));
}

TEST(LocalTest, TakesHostileTextsAsText) {
  const std::string all_types = R"({"properties":{"a":{"x-millrace-local":"first_line"},
      "b":{"x-millrace-local":"longest_line"},"c":{"type":"array"},"d":{"type":"string"},
      "e":{"type":"array","x-millrace-local":{"regex":"(?s).*?"}},"f":{"enum":["a","b"]}}})";
  for (const std::string& text :
       {std::string("{{title}} \" \\ </script> ${x}"), std::string("a\0b\0c", 5), std::string("\u202e\u2066 \ufeff x"),
        std::string(1000, '\n'), std::string("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9 family")}) {
    EXPECT_TRUE(ParseJson(Filled(text, all_types)).ok()) << text;
  }
}

TEST(LocalTest, TakesLargeTexts) {
  std::string text;
  while (text.size() < (1u << 20)) text += "- A storm of words number " + std::to_string(text.size()) + " hits\n";
  const auto begin = std::chrono::steady_clock::now();
  const StatusOr<json::value> value = ParseJson(Filled(text, R"({"properties":{
      "terms":{"type":"array","x-millrace-local":"top_terms"},"lines":{"type":"integer","x-millrace-local":"count_lines"},
      "numbers":{"type":"array","x-millrace-local":{"regex":"\\d+"}},"any":{"type":"string"},
      "kind":{"enum":["storm","rain"]}}})"));
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->at("terms").as_array().size(), 5u);
  EXPECT_EQ(value->at("numbers").as_array().size(), 1000u);
  EXPECT_LE(value->at("any").as_string().size(), 200u);
  EXPECT_EQ(value->at("kind").as_string(), "storm");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

double Cosine(std::string_view a, std::string_view b, int32_t dimensions = kDimensionsDefault) {
  const std::vector<float> x = EmbedText(a, dimensions);
  const std::vector<float> y = EmbedText(b, dimensions);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += double{x[i]} * double{y[i]};
  return sum;
}

TEST(LocalEmbeddingTest, TextsAreNearIfTheyShareWords) {
  EXPECT_NEAR(Cosine("a fire in the port", "A FIRE, in the port!"), 1, 1e-6);
  EXPECT_GT(Cosine("fire in the port of Odesa", "port of Odesa on fire"), 0.6);
  EXPECT_GT(Cosine("a mill race", "the mill races"), Cosine("a mill race", "stock prices fall"));
  EXPECT_LT(Cosine("storm over Oslo", "stock prices fall"), 0.3);
}

TEST(LocalEmbeddingTest, VectorsAreTheSameOnEveryMachine) {
  const std::vector<float> vector = EmbedText("ab", 4);
  ASSERT_EQ(vector.size(), 4u);
  double squares = 0;
  for (const float number : vector) squares += double{number} * double{number};
  EXPECT_NEAR(squares, 1, 1e-6);
  EXPECT_EQ(EmbedText("ab", 4), vector);
}

TEST(LocalEmbeddingTest, AnyTextHasAVector) {
  for (const std::string& text : {std::string(" "), std::string("?!"), std::string("\0", 1), std::string("雨")}) {
    for (const int32_t dimensions : {1, 2, 256}) EXPECT_NEAR(Cosine(text, text, dimensions), 1, 1e-6) << text;
  }
}

TEST(LocalEmbeddingTest, ARequestHasAVectorForEachText) {
  const std::unique_ptr<Backend> backend = MakeLocal();
  EXPECT_GT(backend->embed_limits("any").texts, 0);
  const backend::Question question = EmbedRequest{.model = "m", .texts = {"one", "two"}, .dimensions = 8};
  Action action = backend->Start(question, 0)->Next(Resume());
  ASSERT_TRUE(std::holds_alternative<Done>(action));
  const Answer& answer = std::get<Done>(action).answer;
  ASSERT_EQ(answer.vectors.size(), 2u);
  EXPECT_EQ(answer.vectors[1], EmbedText("two", 8));
}

TEST(LocalTextTest, WordsEndAtSignsBeyondAscii) {
  EXPECT_THAT(TopTerms("“Storm” — storm’s “storm”… São «rain» 雨。", 9), ElementsAre("Storm", "São", "rain"));
  EXPECT_EQ(CountOfWord("“War”—war, warm, postwar", "war"), 2);
  EXPECT_EQ(CountOfWord("warüber über", "über"), 1);
  EXPECT_EQ(CountOfWord("x", ""), 0);
}

TEST(LocalTextTest, TermsHaveThreeLettersAndNoFunctionWords) {
  EXPECT_THAT(TopTerms("né né the The of AND Oslo oslo", 9), ElementsAre("Oslo"));
  EXPECT_THAT(TopTerms("b1c d2e b1c", 1), ElementsAre("b1c"));
  EXPECT_THAT(TopTerms("rain", 0), ElementsAre());
}

TEST(LocalTextTest, LinesLoseTheirListMarks) {
  EXPECT_THAT(Lines("- a\r\n\n  * b  \n-c\n- \n"), ElementsAre("a", "b", "-c"));
}

}  // namespace
}  // namespace millrace::backend
