#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/backends/openai_world.h"

namespace millrace::backend {
namespace {

EmbedRequest Texts(size_t count) {
  return {.model = "e-1", .texts = std::vector<std::string>(count, "text"), .dimensions = {}};
}

// Reads the answer to a request for embeddings of some texts.
std::string Embedded(size_t count, std::string body) {
  const std::unique_ptr<Backend> backend = MakeOpenaiBackend(Config());
  const auto make = [&] { return backend->Start(Texts(count), 1); };
  return Shown(DriveAll(make, backend->manifest(), {.status = 200, .headers = {}, .body = std::move(body)}).action);
}

std::string Data(const std::string& entries) {
  return R"({"object":"list","data":[)" + entries +
         R"(],"model":"e-1-x","usage":{"prompt_tokens":7,"total_tokens":7}})";
}

TEST(OpenaiEmbeddingTest, SendsARequestOfTheProtocol) {
  const SendHttp sent = Sent(Config(), EmbedRequest{.model = "e-1", .texts = {"a", "b\n"}, .dimensions = 256});
  EXPECT_EQ(sent.url, "https://api.example/v1/embeddings");
  EXPECT_EQ(sent.body, R"({"model":"e-1","input":["a","b\n"],"encoding_format":"float","dimensions":256})");
  EXPECT_TRUE(sent.billable);
  v1::OpenaiBackend config = Config();
  config.set_embedding_format("base64");
  EXPECT_THAT(Sent(config, Texts(1)).body, testing::HasSubstr(R"("encoding_format":"base64"})"));
  config.set_embedding_format("none");
  EXPECT_EQ(Sent(config, Texts(1)).body, R"({"model":"e-1","input":["text"]})");
}

TEST(OpenaiEmbeddingTest, ReadsVectorsInTheOrderOfTheirIndexes) {
  EXPECT_EQ(Embedded(2, Data(R"({"index":1,"embedding":[2,-0.5]},{"index":0,"embedding":[1,0]})")),
            "answered stop \"\" in=7 out=? model=e-1-x [1, 0] [2, -0.5]");
  EXPECT_EQ(Embedded(2, Data(R"({"embedding":[1]},{"embedding":[2]})")),
            "answered stop \"\" in=7 out=? model=e-1-x [1] [2]")
      << "without an index, in their order";
}

TEST(OpenaiEmbeddingTest, ReadsBase64) {
  EXPECT_EQ(Embedded(1, Data(R"({"index":0,"embedding":"AACAPwAAAMA="})")),
            "answered stop \"\" in=7 out=? model=e-1-x [1, -2]");
  for (const char* text : {"", "AACA", "????", "AACAPw=A", "AADAfw==", "AACAfw=="}) {  // the last: NaN and infinity
    EXPECT_THAT(Embedded(1, Data(std::string(R"({"index":0,"embedding":")") + text + "\"}")),
                testing::HasSubstr("failed ANSWERED_BAD"))
        << text;
  }
}

TEST(OpenaiEmbeddingTest, IndexesMustBeThoseOfTheTexts) {
  for (const char* entries : {R"({"index":0,"embedding":[1]},{"index":0,"embedding":[2]})",
                              R"({"index":1,"embedding":[1]},{"index":2,"embedding":[2]})",
                              R"({"index":0,"embedding":[1]},{"embedding":[2]})",
                              R"({"index":-1,"embedding":[1]},{"index":0,"embedding":[2]})",
                              R"({"index":0.5,"embedding":[1]},{"index":1,"embedding":[2]})",
                              R"({"index":null,"embedding":[1]},{"index":1,"embedding":[2]})"}) {
    EXPECT_THAT(Embedded(2, Data(entries)), testing::HasSubstr("the indexes of the vectors")) << entries;
  }
}

TEST(OpenaiEmbeddingTest, AnErrorOrAChatIsNotAnAnswer) {
  EXPECT_THAT(Embedded(1, R"({"error":{"message":"m","code":"model_not_found"}})"),
              testing::HasSubstr("failed NO_MODEL"));
  EXPECT_THAT(Embedded(1, R"({"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]})"),
              testing::HasSubstr("the answer has no vectors"));
  EXPECT_THAT(Embedded(1, "hello"), testing::HasSubstr("failed ANSWERED_BAD"));
}

}  // namespace
}  // namespace millrace::backend
