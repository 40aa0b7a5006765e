#include "server/stages/rules/condition.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <boost/json.hpp>

#include "server/base/json.h"

namespace millrace::rules {
namespace {

v1::Condition Parse(const std::string& text) {
  v1::Condition condition;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &condition)) << text;
  return condition;
}

// Returns true if a condition (text format) holds for an item (JSON).
bool Holds(const std::string& condition, const std::string& item) {
  auto evaluator = ConditionEvaluator::Compile(Parse(condition));
  EXPECT_TRUE(evaluator.ok()) << evaluator.status();
  return evaluator.ok() && evaluator->Holds(*ParseExact(item));
}

bool Compares(const std::string& comparison, const std::string& item) {
  return Holds("compare { field: 'f' " + comparison + "}", item);
}

TEST(Condition, EqualsComparesValuesNotTheirSpelling) {
  EXPECT_TRUE(Compares("equals: '1.0'", R"({"f": 1})"));
  EXPECT_TRUE(Compares("equals: '18446744073709551615'", R"({"f": 18446744073709551615})"));
  EXPECT_FALSE(Compares("equals: '9007199254740993'", R"({"f": 9007199254740992.0})"));
  EXPECT_FALSE(Compares("equals: '1e300'", R"({"f": 1})"));
  EXPECT_FALSE(Compares("equals: '\"1\"'", R"({"f": 1})"));
  EXPECT_TRUE(Compares(R"(equals: '{"a": [1, true], "b": null}')", R"({"f": {"b": null, "a": [1.0, true]}})"));
  EXPECT_FALSE(Compares(R"(equals: '{"a": 1}')", R"({"f": {"a": 1, "b": 2}})"));
  EXPECT_FALSE(Compares("equals: '[1,2]'", R"({"f": [2,1]})"));
}

TEST(Condition, AnAbsentFieldIsNull) {
  EXPECT_TRUE(Compares("equals: 'null'", "{}"));
  EXPECT_TRUE(Compares("equals: 'null'", R"({"f": null})"));
  EXPECT_TRUE(Compares("not_equals: '\"a\"'", "{}"));
  EXPECT_FALSE(Compares("less: 1", "{}"));
  EXPECT_FALSE(Compares("at_least: 0", "{}"));
  EXPECT_FALSE(Compares("matches: '.*'", "{}"));
  EXPECT_TRUE(Compares("one_of { values: 'null' }", "{}"));
  EXPECT_FALSE(Compares("contains: 'null'", "{}"));
}

TEST(Condition, OrdersAreForNumbers) {
  EXPECT_TRUE(Compares("less: 2", R"({"f": 1})"));
  EXPECT_FALSE(Compares("less: 1", R"({"f": 1})"));
  EXPECT_TRUE(Compares("at_most: 1", R"({"f": 1})"));
  EXPECT_TRUE(Compares("greater: -1", R"({"f": 0.5})"));
  EXPECT_FALSE(Compares("greater: 0.5", R"({"f": 0.5})"));
  EXPECT_TRUE(Compares("at_least: 0.5", R"({"f": 0.5})"));
  EXPECT_FALSE(Compares("at_least: 0", R"({"f": "7"})"));
}

TEST(Condition, ComparesNumbersDigitByDigit) {
  EXPECT_TRUE(Compares("equals: '123456789012345678901234567890'", R"({"f": 123456789012345678901234567890})"));
  EXPECT_FALSE(Compares("equals: '123456789012345678901234567890'", R"({"f": 123456789012345678901234567891})"));
  EXPECT_TRUE(Compares("equals: '19.9'", R"({"f": 19.90})"));
  EXPECT_TRUE(Compares("equals: '1e400'", R"({"f": 10e399})"));
  EXPECT_TRUE(Compares("one_of { values: '1e400' values: '0.10' }", R"({"f": 0.1})"));
  EXPECT_TRUE(Compares("contains: '19.90'", R"({"f": [1, 19.9]})"));
  EXPECT_FALSE(Compares("less: 0.1", R"({"f": 0.1})"));
  EXPECT_TRUE(Compares("less: 0.1", R"({"f": 0.09999999999999999999})"));
  EXPECT_FALSE(Compares("at_most: 0.1", R"({"f": 0.10000000000000000001})"));
  EXPECT_TRUE(Compares("greater: 1e308", R"({"f": 1e400})"));
  EXPECT_FALSE(Compares("matches: '9'", R"({"f": 19.90})"));
  EXPECT_FALSE(Compares("equals: '\"19.90\"'", R"({"f": 19.90})"));
}

// Returns the oddities that a condition notes about an item, each as `KIND field example`.
std::vector<std::string> Noted(const std::string& condition, const std::string& item) {
  auto evaluator = ConditionEvaluator::Compile(Parse(condition));
  EXPECT_TRUE(evaluator.ok()) << evaluator.status();
  Oddities oddities;
  evaluator->Holds(*ParseExact(item), &oddities);
  std::vector<std::string> noted;
  for (const storage::v1::Oddity& oddity : oddities.list()) {
    noted.push_back(storage::v1::Oddity::Kind_Name(oddity.kind()).substr(5) + " " + oddity.field() + " " +
                    oddity.example());
  }
  return noted;
}

TEST(Condition, NotesTextThatItComparesWithANumber) {
  using testing::ElementsAre;
  using testing::IsEmpty;
  const std::string item = R"({"f": "4.5", "g": 4.5, "t": "four", "e": ""})";
  EXPECT_THAT(Noted("compare { field: 'f' less: 5 }", item), ElementsAre(R"(TEXT_COMPARED_AS_NUMBER f "4.5")"));
  EXPECT_THAT(Noted("compare { field: 'f' equals: '4.5' }", item), ElementsAre(R"(TEXT_COMPARED_AS_NUMBER f "4.5")"));
  EXPECT_THAT(Noted("compare { field: 'f' one_of { values: '1' values: '4.5' } }", item),
              ElementsAre(R"(TEXT_COMPARED_AS_NUMBER f "4.5")"));
  EXPECT_THAT(Noted("compare { field: 'g' not_equals: '\"4.5\"' }", item),
              ElementsAre("NUMBER_COMPARED_AS_TEXT g 4.5"));
  EXPECT_THAT(Noted("not { compare { field: 'f' at_least: 3 } }", item),
              ElementsAre(R"(TEXT_COMPARED_AS_NUMBER f "4.5")"));
  // An item counts once for a field, however many comparisons meet it.
  EXPECT_THAT(Noted("all { conditions { not { compare { field: 'f' less: 1 } } }"
                    "      conditions { compare { field: 'f' less: 5 } } }",
                    item),
              ElementsAre(R"(TEXT_COMPARED_AS_NUMBER f "4.5")"));
  for (const char* fine : {"compare { field: 'g' less: 5 }", "compare { field: 't' less: 5 }",
                           "compare { field: 'e' less: 5 }", "compare { field: 'none' less: 5 }",
                           "compare { field: 'f' equals: '\"4.5\"' }", "compare { field: 'g' equals: '\"n/a\"' }",
                           "compare { field: 'f' one_of { values: '4.5' values: '\"4.5\"' } }"}) {
    EXPECT_THAT(Noted(fine, item), IsEmpty()) << fine;
  }
}

TEST(Condition, MatchesFindsAPatternAnywhereInText) {
  EXPECT_TRUE(Compares("matches: '(?i)ÉCLAIR'", R"({"f": "un éclair!"})"));
  EXPECT_FALSE(Compares("matches: '^a$'", R"({"f": "ab"})"));
  EXPECT_FALSE(Compares("matches: '1'", R"({"f": 1})"));
}

TEST(Condition, ContainsLooksIntoListsAndText) {
  EXPECT_TRUE(Compares("contains: '2'", R"({"f": [1, 2.0]})"));
  EXPECT_FALSE(Compares("contains: '3'", R"({"f": [1, 2]})"));
  EXPECT_TRUE(Compares("contains: '\"bc\"'", R"({"f": "abcd"})"));
  EXPECT_FALSE(Compares("contains: '1'", R"({"f": "1"})"));
  EXPECT_FALSE(Compares("contains: '\"a\"'", R"({"f": {"a": 1}})"));
}

TEST(Condition, OneOfTakesAnyKindOfValue) {
  const std::string values = R"(one_of { values: '"a"' values: '2' values: '[1]' })";
  EXPECT_TRUE(Compares(values, R"({"f": "a"})"));
  EXPECT_TRUE(Compares(values, R"({"f": 2.0})"));
  EXPECT_TRUE(Compares(values, R"({"f": [1]})"));
  EXPECT_FALSE(Compares(values, R"({"f": "2"})"));
  EXPECT_FALSE(Compares("one_of {}", R"({"f": 1})"));
}

TEST(Condition, ExistsMeansPresentAndNotNull) {
  EXPECT_TRUE(Compares("exists: true", R"({"f": false})"));
  EXPECT_FALSE(Compares("exists: true", R"({"f": null})"));
  EXPECT_TRUE(Compares("exists: false", "{}"));
  EXPECT_FALSE(Compares("exists: false", R"({"f": ""})"));
}

TEST(Condition, AllAnyAndNotCombine) {
  const std::string a = "conditions { compare { field: 'a' exists: true } }";
  const std::string b = "conditions { compare { field: 'b' exists: true } }";
  EXPECT_TRUE(Holds("all {" + a + b + "}", R"({"a": 1, "b": 1})"));
  EXPECT_FALSE(Holds("all {" + a + b + "}", R"({"a": 1})"));
  EXPECT_TRUE(Holds("any {" + a + b + "}", R"({"b": 1})"));
  EXPECT_TRUE(Holds("not { any {" + a + b + "} }", "{}"));
  EXPECT_TRUE(Holds("all {}", "{}"));
  EXPECT_FALSE(Holds("any {}", "{}"));
}

TEST(Condition, FieldsArePaths) {
  EXPECT_TRUE(Holds("compare { field: 'a.1.b' equals: '\"x\"' }", R"({"a": [0, {"b": "x"}]})"));
  EXPECT_FALSE(Holds("compare { field: 'a.2.b' exists: true }", R"({"a": [0, {"b": "x"}]})"));
}

TEST(Condition, EveryWrongPlaceIsNamed) {
  const auto evaluator =
      ConditionEvaluator::Compile(Parse("all { conditions { compare { field: 'a' matches: '(' } }"
                                        "      conditions { not { compare { field: '' equals: '{' } } }"
                                        "      conditions { }"
                                        "      conditions { compare { field: 'b' } } }"));
  ASSERT_EQ(ReasonOf(evaluator.status()), Reason::kInvalidDefinition);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ViolationsOf(evaluator.status())) fields.push_back(violation.field);
  EXPECT_EQ(fields, (std::vector<std::string>{
                        "all.conditions[0].compare.matches", "all.conditions[1].not.compare.field",
                        "all.conditions[1].not.compare.equals", "all.conditions[2]", "all.conditions[3].compare"}));
}

TEST(Condition, NestingIsBounded) {
  v1::Condition condition = Parse("compare { field: 'a' exists: true }");
  for (int i = 0; i < 40; ++i) {
    v1::Condition outer;
    *outer.mutable_not_() = condition;
    condition = outer;
  }
  EXPECT_FALSE(ConditionEvaluator::Compile(condition).ok());
}

}  // namespace
}  // namespace millrace::rules
