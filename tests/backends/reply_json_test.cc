#include "backends/sdk/reply_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace millrace::backend {
namespace {

std::string Parsed(std::string_view text) {
  const auto value = ParseReply(text);
  return value.ok() ? json::serialize(*value) : std::string(MessageOf(value.status()));
}

TEST(ReplyJsonTest, RepairsLoneSurrogates) {
  EXPECT_EQ(Parsed(R"(["\ud83d\ude00"])"), R"(["😀"])");
  EXPECT_EQ(Parsed(R"(["a\ud83d","\uDE00b","\ud83d\ud83d\ude00","\ud83dx","\ud83d\n"])"),
            "[\"a\uFFFD\",\"\uFFFDb\",\"\uFFFD😀\",\"\uFFFDx\",\"\uFFFD\\n\"]");
  EXPECT_EQ(Parsed(R"(["\\ud83d","\\\ud83d"])"), "[\"\\\\ud83d\",\"\\\\\uFFFD\"]") << "an escaped backslash before it";
  EXPECT_THAT(Parsed(R"(["\ud8)"), testing::HasSubstr("not JSON"));
  EXPECT_THAT(Parsed(R"(["\uzzzz"])"), testing::HasSubstr("not JSON"));
}

TEST(ReplyJsonTest, AcceptsWhatDoesNoHarm) {
  EXPECT_EQ(Parsed("\xef\xbb\xbf {} \n"), "{}");
  EXPECT_EQ(Parsed(R"({"a":1,"a":2})"), R"({"a":2})");
  EXPECT_TRUE(ParseReply("[1e400]").ok());
  EXPECT_TRUE(ParseReply(std::string(kOutsideDepthMax, '[') + std::string(kOutsideDepthMax, ']')).ok());
}

TEST(ReplyJsonTest, RefusesOtherText) {
  for (const std::string& text :
       {std::string(), std::string("{} {}"), std::string("\"a\xff\""), std::string("[1,]"), std::string("\"a\0\"", 4),
        std::string(100'000, '['), std::string(65, '[') + std::string(65, ']'),
        std::string("\xef\xbb\xbf\xef\xbb\xbf{}")}) {
    EXPECT_EQ(ReasonOf(ParseReply(text).status()), Reason::kBadResponse) << text.substr(0, 50);
  }
}

TEST(ReplyJsonTest, CountsAreWholeAndPlausible) {
  const json::value value = *ParseReply(R"({"a":7,"b":7.0,"c":-1,"d":1e18,"e":"7","f":0.5,"g":{"h":0}})");
  EXPECT_EQ(CountAt(value, "a"), 7);
  EXPECT_EQ(CountAt(value, "b"), 7);
  EXPECT_EQ(CountAt(value, "g.h"), 0);
  for (const char* path : {"c", "d", "e", "f", "g", "z"}) EXPECT_EQ(CountAt(value, path), std::nullopt) << path;
}

}  // namespace
}  // namespace millrace::backend
