#include "server/llm/key.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "server/base/canonical_json.h"
#include "server/base/json.h"

namespace millrace {
namespace {

backend::Request Question() {
  backend::Request request;
  request.messages = {{"system", "Be brief."}, {"user", "Say \"hi\"\n"}};
  request.output_schema = R"({"type": "object"})";
  request.max_tokens = 64;
  request.temperature = 0.5;
  request.seed = -7;
  return request;
}

const ModelIdentity kIdentity{.protocol_family = "openai-chat", .model = "m", .revision = "", .dialect_version = 2};

TEST(KeyTest, TheCanonicalTextsAreAsTheFormatSays) {
  EXPECT_EQ(CanonicalIdentity(kIdentity), R"({"dialect":2,"model":"m","protocol":"openai-chat"})");
  EXPECT_EQ(
      CanonicalRequest(Question()),
      R"({"kind":"chat","max_tokens":64,"messages":[{"content":"Be brief.","role":"system"},)"
      R"({"content":"Say \"hi\"\n","role":"user"}],"schema":"{\"type\": \"object\"}","seed":-7,"temperature":0.5})");
}

TEST(KeyTest, TheKeyIsTheDigestOfOneCanonicalObject) {
  const std::string text = "{\"identity\":" + CanonicalIdentity(kIdentity) +
                           ",\"request\":" + CanonicalRequest(Question()) + ",\"sample\":3,\"tenant\":0,\"version\":1}";
  EXPECT_EQ(*CanonicalJson(text), text);
  EXPECT_EQ(CallKey(CanonicalIdentity(kIdentity), CanonicalRequest(Question()), 3), Digest::Of(text));
  const std::string again = "{\"identity\":" + CanonicalIdentity(kIdentity) +
                            ",\"request\":" + CanonicalRequest(Question()) +
                            ",\"retry\":1,\"sample\":3,\"tenant\":0,\"version\":1}";
  EXPECT_EQ(*CanonicalJson(again), again);
  EXPECT_EQ(CallKey(CanonicalIdentity(kIdentity), CanonicalRequest(Question()), 3, 1), Digest::Of(again));
}

TEST(KeyTest, TheKeyIsAsThePageOfFormatsSays) {
  std::ifstream page("docs/formats.md");
  std::string line;
  while (std::getline(page, line) && line != "```call-key") continue;
  std::string text;
  std::string digest;
  std::getline(page, text);
  std::getline(page, digest);
  const Digest key = CallKey(CanonicalIdentity(kIdentity), CanonicalRequest(Question()), 3);
  EXPECT_EQ(Digest::Of(text), key);
  EXPECT_EQ(digest, key.Hex());
}

TEST(KeyTest, TheKeyOfATextIsAsThePageOfFormatsSays) {
  std::ifstream page("docs/formats.md");
  std::string line;
  while (std::getline(page, line) && line != "```embed-key") continue;
  std::string text;
  std::string digest;
  std::getline(page, text);
  std::getline(page, digest);
  const Digest key = CallKey(CanonicalIdentity(kIdentity), CanonicalText("Say \"hi\"\n", 256), 0);
  EXPECT_EQ(Digest::Of(text), key);
  EXPECT_EQ(digest, key.Hex());
  EXPECT_NE(CallKey(CanonicalIdentity(kIdentity), CanonicalText("Say \"hi\"\n", std::nullopt), 0), key);
  EXPECT_EQ(CanonicalBatch({key}), R"({"kind":"embed_batch","texts":[")" + key.Hex() + R"("]})");
}

TEST(KeyTest, WhatTheAnswerDependsOnChangesTheKey) {
  const auto key = [](const ModelIdentity& identity, const backend::Request& request) {
    return CallKey(CanonicalIdentity(identity), CanonicalRequest(request), request.sample_number);
  };
  const Digest base = key(kIdentity, Question());
  ModelIdentity identity = kIdentity;
  identity.revision = "r2";
  EXPECT_NE(key(identity, Question()), base);
  identity = kIdentity;
  identity.options = R"({"min_p":0.1})";
  EXPECT_NE(key(identity, Question()), base);
  backend::Request request = Question();
  request.model = "as the provider calls it";
  EXPECT_EQ(key(kIdentity, request), base) << "the model is in the identity";
  request.messages[1].content += " ";
  EXPECT_NE(key(kIdentity, request), base);
  request = Question();
  request.output_schema = R"({"type":"object"})";
  EXPECT_NE(key(kIdentity, request), base) << "the schema counts as it is written";
  request = Question();
  request.top_p = 1;
  EXPECT_NE(key(kIdentity, request), base);
}

}  // namespace
}  // namespace millrace
