#include "server/text/faulty_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/text/schema.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPlace[] = R"({"type":"object","definitions":{"degrees":{"type":"number","minimum":-180,"maximum":180}},
  "properties":{"name":{"type":"string","minLength":1},"latitude":{"$ref":"#/definitions/degrees"},
                "longitude":{"$ref":"#/definitions/degrees"},"tags":{"type":"array","items":{"type":"string"}}},
  "required":["name","latitude","longitude"]})";

bool Fits(std::string_view schema, std::string_view value) {
  return Schema::Parse(schema)->Check(*ParseJson(value)).ok();
}

TEST(FaultyFieldsTest, OnlyFieldsThatDoNotFitOrAreMissingAreNamed) {
  const auto found = FindFaultyFields("Here:\n```\n{\"name\":\"Ulm\",\"latitude\":484,\"tags\":[]}\n```", kPlace);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->answer, R"({"name":"Ulm","latitude":484,"tags":[]})");
  EXPECT_THAT(found->faults, HasSubstr("- `latitude`: "));
  EXPECT_THAT(found->faults, HasSubstr("- `longitude`: is missing\n"));
  EXPECT_THAT(found->faults, Not(HasSubstr("`name`")));
  EXPECT_TRUE(Fits(found->schema, R"({"latitude":48,"longitude":10})"));
  EXPECT_FALSE(Fits(found->schema, R"({"latitude":48})")) << "every faulty field is asked for";
  EXPECT_FALSE(Fits(found->schema, R"({"latitude":484,"longitude":10})")) << "references still mean what they meant";
  EXPECT_FALSE(Fits(found->schema, R"({"latitude":48,"longitude":10,"name":"Ulm"})")) << "and no other field";
}

TEST(FaultyFieldsTest, AnOptionalFieldMayBeAbsent) {
  const auto found = FindFaultyFields(R"({"name":"","latitude":1,"longitude":2})", kPlace);
  ASSERT_TRUE(found.has_value());
  EXPECT_THAT(found->faults, Not(HasSubstr("tags")));
}

TEST(FaultyFieldsTest, FieldsOfTheRepairReplaceThoseOfTheAnswer) {
  EXPECT_EQ(*WithFields(R"({"name":"Ulm","latitude":484,"tags":[]})", R"({"latitude":48,"longitude":10})"),
            R"({"name":"Ulm","latitude":48,"tags":[],"longitude":10})");
  EXPECT_FALSE(WithFields("[]", "{}").ok());
  EXPECT_FALSE(WithFields("{}", "3").ok());
}

TEST(FaultyFieldsTest, AnswersWhoseFieldsCannotBeToldApartAreRepairedWhole) {
  EXPECT_FALSE(FindFaultyFields("no JSON", kPlace));
  EXPECT_FALSE(FindFaultyFields("[1]", kPlace));
  EXPECT_FALSE(FindFaultyFields(R"({"name":1,"latitude":484})", kPlace)) << "no field fits";
  EXPECT_FALSE(FindFaultyFields(R"({"name":"a"} or {"name":"b"})", kPlace)) << "which of them is meant?";
  EXPECT_FALSE(FindFaultyFields(R"({"name":"Ulm","latitude":1,"longitude":2})", kPlace)) << "nothing is at fault";
}

TEST(FaultyFieldsTest, SchemasThatConnectFieldsAreRepairedWhole) {
  const std::string answer = R"({"a":1,"b":"no"})";
  const std::string properties = R"("properties":{"a":{"type":"integer"},"b":{"type":"integer"}})";
  EXPECT_TRUE(FindFaultyFields(answer, R"({"type":"object",)" + properties + "}"));
  for (const char* connected :
       {R"("dependencies":{"a":["b"]})", R"("anyOf":[{"required":["a"]}])", R"("minProperties":2)",
        R"("if":{"required":["a"]})", R"("patternProperties":{"^a":{}})"}) {
    EXPECT_FALSE(FindFaultyFields(answer, R"({"type":"object",)" + properties + "," + connected + "}")) << connected;
  }
  EXPECT_FALSE(FindFaultyFields(answer, R"({"type":"object","properties":{"a":{"type":"integer"},)"
                                        R"("b":{"$ref":"#/properties/a"}}})"));
  EXPECT_FALSE(FindFaultyFields(R"({"a":1,"b":"no","c":1})",
                                R"({"type":"object","additionalProperties":false,)" + properties + "}"))
      << "a field that must not be there is not a field to ask for";
}

}  // namespace
}  // namespace millrace
