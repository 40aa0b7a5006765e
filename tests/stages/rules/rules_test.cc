#include "server/stages/rules/rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/base/digest.h"
#include "server/base/json.h"
#include "server/base/work_meter.h"

namespace millrace::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Prepare Parse(const std::string& text) {
  v1::Prepare prepare;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &prepare)) << text;
  return prepare;
}

v1::Pipeline Files() {
  v1::Pipeline pipeline;
  (*pipeline.mutable_files())["places.csv"] =
      "name,place,kind,weight\nBrazil|Brazilian,BRA,country,2\nRio,BRA,city,\nPeru,PER,country,\nSanta,,saint,\n";
  return pipeline;
}

RuleResult Apply(const std::string& rules, const std::string& item) {
  auto compiled = Rules::Compile(Parse(rules), Files());
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  return compiled->Apply(std::move(ParseExact(item)->get_object()));
}

// The item that rules make, as JSON.
std::string Made(const std::string& rules, const std::string& item) {
  const RuleResult result = Apply(rules, item);
  EXPECT_EQ(result.state, v1::ITEM_STATE_OK) << result.message;
  return WriteJson(result.item);
}

TEST(Rules, SetTakesAConstantAFieldOrATemplate) {
  EXPECT_EQ(Made("rules { set { field: 'a' value: '[1, {\"b\": null}]' } }", "{}"), R"({"a":[1,{"b":null}]})");
  EXPECT_EQ(Made("rules { set { field: 'a' from: 'b.0' } }", R"({"b":[7]})"), R"({"b":[7],"a":7})");
  EXPECT_EQ(Made("rules { set { field: 'a' from: 'none' } }", "{}"), R"({"a":null})");
  EXPECT_EQ(Made("rules { set { field: 'a' template: '{{x}} & {{y}}' } }", R"({"x":"<1>","y":2})"),
            R"({"x":"<1>","y":2,"a":"<1> & 2"})");
}

TEST(Rules, FieldsMayStandInsideOfOthers) {
  EXPECT_EQ(Made("rules { set { field: 'a.b.c' value: '1' } }", R"({"a":null})"), R"({"a":{"b":{"c":1}}})");
  EXPECT_EQ(Made("rules { set { field: 'a.1' value: '1' } }", R"({"a":[0,0]})"), R"({"a":[0,1]})");
  const RuleResult result = Apply("rules { name: 'deep' set { field: 'a.b' value: '1' } }", R"({"a":"text"})");
  EXPECT_EQ(result.state, v1::ITEM_STATE_FAILED);
  EXPECT_EQ(result.reason, v1::ERROR_REASON_BAD_ITEM);
  EXPECT_THAT(result.message, HasSubstr("deep: a.b can't be set"));
}

TEST(Rules, AFieldMayBeSetFromWhatItReplaces) {
  EXPECT_EQ(Made("rules { set { field: 'a' from: 'a.b' } }", R"({"a":{"b":[1]}})"), R"({"a":[1]})");
}

TEST(Rules, EachSeesWhatTheOnesBeforeItLeft) {
  EXPECT_EQ(Made("rules { set { field: 'a' value: '1' } }"
                 "rules { when { compare { field: 'a' equals: '1' } } set { field: 'b' from: 'a' } }"
                 "rules { when { compare { field: 'a' equals: '2' } } set { field: 'c' from: 'a' } }",
                 "{}"),
            R"({"a":1,"b":1})");
}

TEST(Rules, ScoreAddsAndKeepsWholeNumbersWhole) {
  EXPECT_EQ(Made("rules { score { field: 's' add: 2 } } rules { score { field: 's' add: -5 } }", "{}"), R"({"s":-3})");
  EXPECT_EQ(Made("rules { score { field: 's' add: 0.5 } }", R"({"s":1})"), R"({"s":1.5})");
  EXPECT_EQ(Apply("rules { score { field: 's' add: 1 } }", R"({"s":"x"})").reason, v1::ERROR_REASON_BAD_ITEM);
}

TEST(Rules, ScoreKeepsWholeNumbersThatNoDoubleHas) {
  EXPECT_EQ(Made("rules { score { field: 's' add: 2 } }", R"({"s":9007199254740993})"), R"({"s":9007199254740995})");
  EXPECT_EQ(Made("rules { score { field: 's' add: 1 } }", R"({"s":0.5})"), R"({"s":1.5})");
  const RuleResult result = Apply("rules { score { field: 's' add: 1 } }", R"({"s":1e400})");
  EXPECT_THAT(result.message, HasSubstr("`s` is too large to add to it"));
}

TEST(Rules, NumbersThatNoRuleTouchesKeepTheirCharacters) {
  const std::string item = R"({"price":19.90,"id":123456789012345678901234567890,"big":1e400,"a":{"b":[1.50,-0]}})";
  EXPECT_EQ(Made("rules { set { field: 'x' value: 'true' } }", item),
            item.substr(0, item.size() - 1) + R"(,"x":true})");
  EXPECT_EQ(Made("rules { set { field: 'x' from: 'a.b' } } rules { set { field: 'y' from: 'price' } }",
                 R"({"price":19.90,"a":{"b":[1.50]}})"),
            R"({"price":19.90,"a":{"b":[1.50]},"x":[1.50],"y":19.90})");
  EXPECT_EQ(Made("rules { set { field: 'x' template: '{{price}} {{a}} {{id}}' } }",
                 R"({"price":19.90,"a":[1.50,"1.50"],"id":123456789012345678901234567890})"),
            R"({"price":19.90,"a":[1.50,"1.50"],"id":123456789012345678901234567890,)"
            R"("x":"19.90 [1.50, \"1.50\"] 123456789012345678901234567890"})");
  EXPECT_EQ(Made("rules { set { field: 'x' value: '1.2345678901234567890123' } }", "{}"),
            R"({"x":1.2345678901234567890123})");
}

TEST(Rules, PatternsLeaveNumbersAlone) {
  EXPECT_EQ(Made("rules { replace { field: 'p' pattern: '9' with: 'x' } }"
                 "rules { extract { from: 'p' pattern: '9' field: 'q' } }",
                 R"({"p":19.90})"),
            R"({"p":19.90})");
}

std::string Converted(const std::string& how, const std::string& value) {
  return Made("rules { convert { field: 'f' " + how + " } }", "{\"f\":" + value + "}");
}

TEST(Rules, ConvertMakesNumbersBooleansDatesAndText) {
  EXPECT_EQ(Converted("to: VALUE_TYPE_NUMBER", "\" 4.50 \""), R"({"f":4.50})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_NUMBER", "\"007\""), R"({"f":7})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_NUMBER", "\"123456789012345678901234567890\""),
            R"({"f":123456789012345678901234567890})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_NUMBER", "19.90"), R"({"f":19.90})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_NUMBER", "\"\""), R"({"f":null})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_BOOLEAN", "\"Yes\""), R"({"f":true})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_BOOLEAN", "0"), R"({"f":false})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_DATE", "\"2024-01-31 10:00\""), R"({"f":"2024-01-31T10:00:00Z"})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_DATE", "1706695200"), R"({"f":"2024-01-31T10:00:00Z"})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_DATE date_format: '%d/%m/%Y'", "\"01/03/2017\""), R"({"f":"2017-03-01"})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_TEXT", "19.90"), R"({"f":"19.90"})");
  EXPECT_EQ(Converted("to: VALUE_TYPE_NUMBER into: 'g.h'", "\"1\""), R"({"f":"1","g":{"h":1}})");
  EXPECT_EQ(Made("rules { convert { field: 'f' to: VALUE_TYPE_NUMBER } }", R"({"a":1})"), R"({"a":1})");
}

TEST(Rules, ConvertFailsTheItemUnlessItMayBeNull) {
  const RuleResult failed =
      Apply("rules { name: 'score' convert { field: 'f' to: VALUE_TYPE_NUMBER } }", R"({"f":"n/a"})");
  EXPECT_EQ(failed.reason, v1::ERROR_REASON_BAD_ITEM);
  EXPECT_EQ(failed.message, "score: `f`: expected a number such as 4.5 or -3, got \"n/a\"");
  const RuleResult unclear = Apply("rules { convert { field: 'f' to: VALUE_TYPE_DATE } }", R"({"f":"01/03/2017"})");
  EXPECT_THAT(unclear.message, HasSubstr("expected a date such as 2024-01-31"));
  const RuleResult null =
      Apply("rules { convert { field: 'f' to: VALUE_TYPE_NUMBER or_null: true } }", R"({"f":"n/a"})");
  EXPECT_EQ(WriteJson(null.item), R"({"f":null})");
  ASSERT_EQ(null.oddities.list().size(), 1u);
  EXPECT_EQ(null.oddities.list()[0].kind(), storage::v1::Oddity::KIND_NOT_CONVERTED);
  EXPECT_EQ(null.oddities.list()[0].example(), "\"n/a\"");
}

TEST(Rules, ConvertIsCheckedWhenItIsCompiled) {
  const auto wrong = [](const std::string& convert) {
    return std::string(MessageOf(Rules::Compile(Parse("rules { convert { " + convert + " } }"), Files()).status()));
  };
  EXPECT_THAT(wrong("field: 'f'"), HasSubstr("rules[0].convert.to: expected one of text, number, boolean, date"));
  EXPECT_THAT(wrong("field: 'f' to: VALUE_TYPE_NUMBER date_format: '%Y-%m-%d'"), HasSubstr("only for `to: date`"));
  EXPECT_THAT(wrong("field: 'f' to: VALUE_TYPE_DATE date_format: 'DD/MM/YYYY'"), HasSubstr("it has no year (`%Y`)"));
  EXPECT_THAT(wrong("field: 'a..b' to: VALUE_TYPE_NUMBER"), HasSubstr("expected the path of a field"));
}

TEST(Rules, NoteTextThatTheirConditionsCompareWithNumbers) {
  const RuleResult result = Apply(
      "rules { when { compare { field: 'f' less: 5 } } set { field: 'low' value: 'true' } }"
      "rules { validate { condition { not { compare { field: 'f' at_least: 3 } } } } }",
      R"({"f":"4.5"})");
  ASSERT_EQ(result.oddities.list().size(), 1u);
  EXPECT_EQ(result.oddities.list()[0].kind(), storage::v1::Oddity::KIND_TEXT_COMPARED_AS_NUMBER);
  EXPECT_EQ(result.oddities.list()[0].count(), 1);
}

TEST(Rules, DropAndValidateEndTheItem) {
  RuleResult result = Apply("rules { drop { reason: 'too short' } } rules { set { field: 'a' value: '1' } }", "{}");
  EXPECT_EQ(result.state, v1::ITEM_STATE_SKIPPED);
  EXPECT_EQ(result.reason, v1::ERROR_REASON_DROPPED);
  EXPECT_EQ(result.message, "rule 1: too short");
  EXPECT_TRUE(result.item.empty());
  const std::string validate = "rules { name: 'dated' validate { condition { compare { field: 'd' exists: true } } } }";
  result = Apply(validate, "{}");
  EXPECT_EQ(result.state, v1::ITEM_STATE_FAILED);
  EXPECT_EQ(result.reason, v1::ERROR_REASON_VALIDATION);
  EXPECT_EQ(result.message, "dated");
  EXPECT_EQ(Made(validate, R"({"d":1})"), R"({"d":1})");
}

TEST(Rules, ExtractTakesTheFirstGroupOrTheWholeMatch) {
  EXPECT_EQ(Made("rules { extract { from: 't' pattern: '(\\\\d+)%' field: 'n' } }", R"({"t":"up 12% and 13%"})"),
            R"({"t":"up 12% and 13%","n":"12"})");
  EXPECT_EQ(Made("rules { extract { from: 't' pattern: '\\\\d+' field: 'n' every: true } }", R"({"t":"1, 22"})"),
            R"({"t":"1, 22","n":["1","22"]})");
  EXPECT_EQ(Made("rules { extract { from: 't' pattern: 'x' field: 'n' } }", R"({"t":"a"})"), R"({"t":"a"})");
  EXPECT_EQ(Made("rules { extract { from: 't' pattern: 'x' field: 'n' } }", R"({"t":["x"]})"), R"({"t":["x"]})");
  EXPECT_EQ(Made("rules { extract { from: 't' pattern: 'é?' field: 'n' every: true } }", R"({"t":"éa"})"),
            R"({"t":"éa","n":["é","",""]})");
}

TEST(Rules, ReplaceWritesGroupsBack) {
  EXPECT_EQ(
      Made("rules { replace { field: 't' pattern: '(\\\\w+) - \\\\w+' with: '<\\\\1>' } }", R"({"t":"a - b c - d"})"),
      R"({"t":"<a> <c>"})");
}

std::string Times(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Rules, AReplacementThatMultipliesTheTextEndsTheItemBeforeItTakesMemory) {
  const std::string rules =
      "rules { name: 'grow' replace { field: 't' pattern: '.+' with: '" + Times("\\\\0", 2000) + "' } }";
  const RuleResult result = Apply(rules, R"({"t":")" + std::string(1 << 20, 'x') + "\"}");
  EXPECT_EQ(result.state, v1::ITEM_STATE_FAILED);
  EXPECT_EQ(result.reason, v1::ERROR_REASON_BAD_ITEM);
  EXPECT_EQ(result.message, "grow: the text would have more than 1048576 bytes");
}

TEST(Rules, CopiesOfALargeFieldEndTheItemBeforeTheyTakeMemory) {
  std::string rules;
  for (int i = 0; i < 60; ++i) rules += "rules { set { field: 'f" + std::to_string(i) + "' from: 't' } }";
  const std::string item = R"({"t":")" + std::string(3 << 20, 'x') + "\"}";
  const WorkMeter meter({.bytes = 4 << 20});
  const RuleResult result = Apply(rules, item);
  EXPECT_EQ(result.state, v1::ITEM_STATE_FAILED);
  EXPECT_EQ(result.message, "rule 2: the rules would add more than 4194304 bytes to the item");
  // A new value in the place of the old one adds nothing.
  EXPECT_EQ(Apply(Times("rules { set { field: 'f' from: 't' } }", 60), item).state, v1::ITEM_STATE_OK);
}

TEST(Rules, APatternThatIsTooLargeForATextIsAnErrorAndNotNoMatch) {
  const std::string pattern = "'[ab]*a[ab]{900}[xyz]'";
  const std::string item = R"({"t":")" + std::string(1 << 20, 'a') + "\"}";
  for (const std::string& rules :
       {"rules { extract { from: 't' pattern: " + pattern + " field: 'n' } }",
        "rules { replace { field: 't' pattern: " + pattern + " with: '' } }",
        "rules { when { not { compare { field: 't' matches: " + pattern + " } } } set { field: 'n' value: '1' } }",
        "rules { validate { condition { not { compare { field: 't' matches: " + pattern + " } } } } }"}) {
    const RuleResult result = Apply(rules, item);
    EXPECT_EQ(result.state, v1::ITEM_STATE_FAILED) << rules;
    EXPECT_EQ(result.reason, v1::ERROR_REASON_BAD_ITEM) << rules;
    EXPECT_THAT(result.message, HasSubstr("too large to search a text of 1048576 bytes"));
  }
}

TEST(Rules, RulesWithEqualFilesShareOneGazetteer) {
  SharedObjects shared;
  const std::string look_up =
      "rules { look_up { gazetteer: 'places.csv' in: 't' set { field: 'p' column: 'place' } } }";
  const auto first = Rules::Compile(Parse(look_up), Files(), &shared);
  const auto second = Rules::Compile(Parse(look_up), Files(), &shared);
  ASSERT_TRUE(first.ok() && second.ok());
  int made = 0;
  const auto make = [&made]() -> StatusOr<int> { return ++made; };
  const std::string file = Files().files().at("places.csv");
  // The object of both is still there under the digest of the file.
  EXPECT_TRUE(shared.Get<int>(Digest::Of("gazetteer " + file), make).ok());
  EXPECT_EQ(made, 0);
}

constexpr char kLookUp[] =
    "rules { name: 'places' look_up { gazetteer: 'places.csv' in: 'title' in: 'tags'"
    "  set { field: 'most' column: 'place' } set { field: 'first' column: 'place' pick: PICK_FIRST }"
    "  set { field: 'every' column: 'place' pick: PICK_EVERY } set { field: 'kinds' column: 'kind' pick: PICK_COUNT } "
    "} }";

TEST(Rules, LookUpPicksFromTheRowsFound) {
  const RuleResult result = Apply(kLookUp, R"({"title":"Peru and Brazilian Santa","tags":["Rio", 1]})");
  EXPECT_EQ(json::serialize(result.item),
            R"({"title":"Peru and Brazilian Santa","tags":["Rio",1],"most":"BRA","first":"PER",)"
            R"("every":["PER","BRA"],"kinds":3})");
  EXPECT_THAT(result.notes, ElementsAre("places: Peru, Brazilian, Santa, Rio"));
}

TEST(Rules, LookUpThatFindsNothingSetsOnlyListsAndCounts) {
  const RuleResult result = Apply(kLookUp, R"({"title":"nowhere"})");
  EXPECT_EQ(json::serialize(result.item), R"({"title":"nowhere","every":[],"kinds":0})");
  EXPECT_TRUE(result.notes.empty());
}

TEST(Rules, LookUpTakesTheFirstOfEqualWeight) {
  EXPECT_THAT(Made(kLookUp, R"({"title":"Peru or Rio"})"), HasSubstr(R"("most":"PER")"));
  EXPECT_THAT(Made(kLookUp, R"({"title":"Rio or Peru"})"), HasSubstr(R"("most":"BRA")"));
}

TEST(Rules, LookUpFieldsMayHaveToAgree) {
  const std::string rules =
      "rules { look_up { gazetteer: 'places.csv' in: 'title' set { field: 'place' column: 'place' }"
      " set { field: 'kind' column: 'kind' pick: PICK_FIRST agree_with: 'place' }"
      " set { field: 'kinds' column: 'kind' pick: PICK_EVERY agree_with: 'place' } } }";
  EXPECT_THAT(Made(rules, R"({"title":"Peru, Rio, Brazil"})"),
              HasSubstr(R"("place":"BRA","kind":"city","kinds":["city","country"])"));
  EXPECT_EQ(Made(rules, R"({"title":"Santa"})"), R"({"title":"Santa","kinds":[]})");
  EXPECT_FALSE(Rules::Compile(Parse("rules { look_up { gazetteer: 'places.csv' in: 'title'"
                                    " set { field: 'kind' column: 'kind' agree_with: 'place' } } }"),
                              Files())
                   .ok());
}

TEST(Rules, EveryWrongPlaceIsNamed) {
  const auto rules =
      Rules::Compile(Parse("rules { set { field: 'a.' value: '{' } }"
                           "rules { when { compare { field: 'a' } } drop {} }"
                           "rules { set { field: 'a' template: '{{x' } }"
                           "rules { extract { from: 'a' pattern: '(' field: 'b' } }"
                           "rules { replace { field: 'a' pattern: 'x' with: '\\\\3' } }"
                           "rules { look_up { gazetteer: 'none.csv' in: 'a' set { field: 'a' column: 'b' } } }"
                           "rules { look_up { gazetteer: 'places.csv' in: 'a' set { field: 'a' column: 'nope' } } }"
                           "rules { validate {} }"
                           "rules { }"),
                     Files());
  ASSERT_EQ(ReasonOf(rules.status()), Reason::kInvalidDefinition);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ViolationsOf(rules.status())) fields.push_back(violation.field);
  EXPECT_THAT(fields,
              ElementsAre("rules[0].set.field", "rules[0].set.value", "rules[1].when.compare", "rules[2].set.template",
                          "rules[3].extract.pattern", "rules[4].replace.with", "rules[5].look_up.gazetteer",
                          "rules[6].look_up.set", "rules[7].validate.condition", "rules[8]"));
}

}  // namespace
}  // namespace millrace::rules
