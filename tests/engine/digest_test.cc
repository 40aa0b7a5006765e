// Digests of definitions and memo keys as the engine uses them: the vectors of docs/formats.md.
#include <fstream>
#include <sstream>

#include "server/config/canonical.h"
#include "server/config/pipeline_file.h"
#include "server/engine/requests/run_creator.h"
#include "server/engine/step/memo.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

// Returns a fenced block of the page.
std::string BlockOf(const std::string& opening) {
  std::ostringstream page;
  page << std::ifstream("docs/formats.md", std::ios::binary).rdbuf();
  const std::string text = page.str();
  const size_t begin = text.find("```" + opening + "\n");
  EXPECT_NE(begin, std::string::npos) << opening;
  if (begin == std::string::npos) return "";
  const size_t content = begin + opening.size() + 4;
  return text.substr(content, text.find("```", content) - content);
}

v1::Pipeline Example() {
  const FileLoader files = [](std::string_view) -> StatusOr<std::string> { return "name,theater\nChile,Americas\n"; };
  const StatusOr<PipelineFile> file = ReadPipeline(BlockOf("pipeline-digest-yaml"), "formats.md", files);
  EXPECT_TRUE(file.ok()) << MessageOf(file.status());
  return file.ok() ? file->pipeline : v1::Pipeline();
}

TEST(DigestTest, ApplyPipelineAnswersTheDigestOfTheFormatsPage) {
  World world;
  v1::ApplyPipelineRequest request;
  *request.mutable_pipeline() = Example();
  const auto response = world.Do(world.engine->pipelines().ApplyPipeline({}, request));
  ASSERT_TRUE(response.ok()) << MessageOf(response.status());
  const std::string block = BlockOf("pipeline-digest-json");
  EXPECT_EQ(response->pipeline().digest() + "\n", block.substr(block.find('\n') + 1));
}

TEST(DigestTest, AMemoKeyIsThatOfTheFormatsPage) {
  const v1::Pipeline pipeline = Example();
  ASSERT_EQ(pipeline.stages_size(), 2);
  const MemoRules rules(pipeline, pipeline.stages(1), 1, "", "r-1", false);
  const StatusOr<Digest> item = ItemDigest(R"({"id":"t-1","title":"Fire — 3 hurt","n":3.50,"tags":["b","a"]})");
  ASSERT_TRUE(item.ok());
  EXPECT_EQ(CanonicalStage(pipeline, pipeline.stages(1)) + "\n" + rules.KeyOf("t-1", *item).Hex() + "\n",
            BlockOf("memo-key"));
}

TEST(DigestTest, ARequestHasTheDigestOfTheFormatsPage) {
  v1::CreateRunRequest request;
  request.set_request_id("once");
  request.mutable_wait()->set_seconds(60);
  request.set_pipeline("example");
  (*request.mutable_parameters())["least"].set_int_(3);
  v1::InputItem& item = *(*request.mutable_items())["titles"].add_items();
  item.set_id("t-1");
  item.set_json(R"({"title":"Fire"})");
  request.set_limit(10);
  request.mutable_as_of()->set_seconds(1767225600);
  const std::string block = BlockOf("request-digest");
  EXPECT_EQ(RequestDigest(request).Hex() + "\n", block.substr(block.find('\n') + 1));
}

}  // namespace
}  // namespace millrace
