#include "backends/sdk/schema.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "server/base/json.h"

namespace millrace::backend {
namespace {

// Members keep their order, because some providers depend on it.
TEST(SchemaTest, LosesTheAnnotationsThatOnlyLocalReads) {
  EXPECT_EQ(
      WithoutLocalAnnotations(
          R"({"type":"object","x-millrace-local":"x","properties":{"b":{"x-millrace-local":{"const":1},"type":"string"},)"
          R"("a":{"anyOf":[{"x-millrace-local":"top_terms"},{"type":"null"}]}},"required":["b"]})"),
      R"({"type":"object","properties":{"b":{"type":"string"},"a":{"anyOf":[{},{"type":"null"}]}},"required":["b"]})");
}

TEST(SchemaTest, StaysByteForByteWithoutAnnotations) {
  for (const char* schema : {R"({ "type" : "number", "minimum": 1.0 })", "", "no JSON", "true"}) {
    EXPECT_EQ(WithoutLocalAnnotations(schema), schema);
  }
}

TEST(SchemaTest, InfersATypeFromOtherKeywords) {
  const auto type = [](const char* schema) { return std::string(TypeOf(ParseJson(schema)->get_object())); };
  EXPECT_EQ(type(R"({"properties":{}})"), "object");
  EXPECT_EQ(type(R"({"items":{}})"), "array");
  EXPECT_EQ(type(R"({"maximum":1})"), "number");
  EXPECT_EQ(type("{}"), "string");
  EXPECT_EQ(type(R"({"type":["null","integer"]})"), "integer");
  EXPECT_EQ(type(R"({"type":["null"]})"), "null");
}

TEST(SchemaTest, CutsAtASpaceAndNeverInsideACharacter) {
  EXPECT_EQ(CutAt("one two three", 9), "one two");
  EXPECT_EQ(CutAt("one two", 7), "one two");
  EXPECT_EQ(CutAt("one two", 3), "one");
  EXPECT_EQ(CutAt("äöü", 2), "äö");
  EXPECT_EQ(CutAt("a", 0), "");
}

}  // namespace
}  // namespace millrace::backend
