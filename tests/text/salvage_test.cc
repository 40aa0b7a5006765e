#include "server/text/salvage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/status.h"

namespace millrace {
namespace {

using testing::HasSubstr;

// An object with a whole number `n`, and nothing else.
std::string Salvaged(
    std::string_view answer,
    std::string_view schema =
        R"({"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false})") {
  const StatusOr<std::string> fitting = FittingJson(answer, *Schema::Parse(schema));
  if (fitting.ok()) return *fitting;
  return std::string(NameOf(ReasonOf(fitting.status()))) + ": " + std::string(MessageOf(fitting.status()));
}

TEST(SalvageTest, AWholeAnswerIsKeptAsItIs) {
  EXPECT_EQ(Salvaged(R"({"n": 1})"), R"({"n": 1})");
  EXPECT_EQ(Salvaged("\n {\"n\":1}\n"), R"({"n":1})");
  EXPECT_EQ(Salvaged("\"yes\"", R"({"type":"string"})"), "\"yes\"");
}

TEST(SalvageTest, FindsJsonInFences) {
  EXPECT_EQ(Salvaged("Here:\n```json\n{\"n\":1}\n```\nDone."), R"({"n":1})");
  EXPECT_EQ(Salvaged("```\n{\"n\":1}"), R"({"n":1})") << "a fence that is never closed";
  EXPECT_EQ(Salvaged("```json\n{\"a\":0}\n```\nand\n```json\n{\"n\":2}\n```"), R"({"n":2})") << "the one that fits";
  EXPECT_EQ(Salvaged("```\nfoo\n```\n{\"n\":3}"), R"({"n":3})") << "the fence has no JSON";
  EXPECT_EQ(Salvaged("```\n7\n```", R"({"type":"integer"})"), "7");
}

TEST(SalvageTest, FindsJsonAfterReasoning) {
  EXPECT_EQ(Salvaged("<think>maybe {\"n\":1}?</think>\n{\"n\":2}"), R"({"n":2})");
  EXPECT_EQ(Salvaged("no tag opens it {\"n\":1} </think> x </think> so {\"n\":2}."), R"({"n":2})");
  EXPECT_EQ(Salvaged("<think>1</think>2", R"({"type":"integer"})"), "2");
}

TEST(SalvageTest, FindsJsonBetweenSentences) {
  EXPECT_EQ(Salvaged("Sure! {\"n\":1} is [the] answer."), R"({"n":1})");
  EXPECT_EQ(Salvaged("A set {a, b} and a list [x; then {\"n\":1}"), R"({"n":1})");
  EXPECT_EQ(Salvaged(R"({"a":"}{"} then {"n":4} \" {"a":"\"}"})"), R"({"n":4})");
  EXPECT_EQ(Salvaged("[[ {\"n\":1}"), R"({"n":1})") << "brackets that nothing closes";
}

TEST(SalvageTest, SeveralDifferentValuesThatFitAreNotAnAnswer) {
  EXPECT_THAT(Salvaged("{\"n\":1} or {\"n\":2}"), HasSubstr("SCHEMA: the answer has several different JSON values"));
  EXPECT_THAT(Salvaged("```\n{\"n\":1}\n```\n```\n{\"n\":2}\n```"), HasSubstr("several different"));
  EXPECT_EQ(Salvaged("{\"n\":1} that is {\"n\": 1}"), R"({"n":1})") << "equal values are one";
  EXPECT_EQ(Salvaged("For example {\"n\":1}:\n```\n{\"n\":2}\n```"), R"({"n":2})") << "a fence is likelier";
}

TEST(SalvageTest, ErrorsNameTheFirstFault) {
  EXPECT_THAT(Salvaged("I don't know."), HasSubstr("NOT_JSON: the answer is not JSON"));
  EXPECT_THAT(Salvaged(""), HasSubstr("NOT_JSON"));
  EXPECT_THAT(Salvaged("{\"n\":1"), HasSubstr("NOT_JSON"));
  EXPECT_THAT(Salvaged(R"({"n":"1"})"), HasSubstr("SCHEMA: the answer does not fit the schema"));
  EXPECT_THAT(Salvaged("```\n{\"n\":\"1\"}\n```"), HasSubstr("SCHEMA"));
}

TEST(SalvageTest, HostileAnswersAreBounded) {
  constexpr size_t kSize = 1u << 20;
  for (const std::string unit : {"{", "[", "{\"", "```\n", "```\n{}\n```\n", "{}", "\"{", "</think>", "\\", "{[}]"}) {
    std::string answer;
    while (answer.size() < kSize) answer += unit;
    size_t bytes = 0;
    for (const JsonCandidates& candidates : FindJson(answer)) {
      EXPECT_LE(candidates.size(), 32u) << unit;
      for (const std::string_view candidate : candidates) bytes += candidate.size();
    }
    EXPECT_LE(bytes, 5 * answer.size()) << unit;
    EXPECT_THAT(Salvaged(answer), testing::AnyOf(HasSubstr("NOT_JSON"), HasSubstr("SCHEMA"))) << unit;
  }
}

}  // namespace
}  // namespace millrace
