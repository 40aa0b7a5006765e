#include "server/config/canonical.h"

#include <gmock/gmock.h>

#include "server/base/digest.h"
#include "server/config/binding.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

v1::Pipeline NewsPipeline() {
  const StatusOr<PipelineFile> file = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"));
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? file->pipeline : v1::Pipeline();
}

v1::Stage StageOf(std::string_view stage) {
  const StatusOr<PipelineFile> file = ReadTestPipeline(PipelineText(stage));
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? file->pipeline.stages(1) : v1::Stage();
}

TEST(CanonicalTest, HoldsOnlyWhatAffectsTheResult) {
  const v1::Stage stage = StageOf(R"(description: words
concurrency: 5
cache: {ttl: 1h}
when: {compare: {field: x, equals: {b: 1, a: 2}}}
cluster:
  lexical: {fields: [title], max_document_share: 20%, max_neighbors: 200}
  time_window: 36h
  time_field: t
  passes: [{threshold: 0.5}]
  max_memory: 2MiB)");
  EXPECT_EQ(
      CanonicalStage({}, stage),
      R"({"lexical":{"fields":[{"field":"title","weight":1}],"linkage":"average",)"
      R"("max_document_share":0.2,"max_neighbors":200,"name_weight":1},"passes":[{"min_size":2,"threshold":0.5}],)"
      R"("singletons":"drop","time_field":"t","time_window":129600000000000,"title_field":"title"})");
}

TEST(CanonicalTest, AnAbsentFieldIsTheSameAsItsDefault) {
  const std::string implicit = CanonicalStage({}, StageOf("synthesize: {model: m, prompt: p}"));
  EXPECT_EQ(implicit, CanonicalStage({}, StageOf("synthesize: {model: n, prompt: p, max_tokens: 1024, repairs: 1}")));
  EXPECT_NE(implicit, CanonicalStage({}, StageOf("synthesize: {model: m, prompt: p, max_tokens: 1025}")));
  EXPECT_NE(implicit, CanonicalStage({}, StageOf("synthesize: {model: m, prompt: p, temperature: 0}")));
}

TEST(CanonicalTest, ADefinitionFileCountsByItsContent) {
  v1::Pipeline pipeline = NewsPipeline();
  const std::string before = CanonicalStage(pipeline, pipeline.stages(1));
  v1::Pipeline renamed = pipeline;
  renamed.mutable_stages(1)->mutable_prepare()->mutable_rules(0)->mutable_look_up()->set_gazetteer("other.csv");
  (*renamed.mutable_files())["other.csv"] = pipeline.files().at("places.csv");
  EXPECT_EQ(CanonicalStage(renamed, renamed.stages(1)), before);
  (*pipeline.mutable_files())["places.csv"] += "Peru,Americas\n";
  EXPECT_NE(CanonicalStage(pipeline, pipeline.stages(1)), before);
}

TEST(PipelineDigestTest, IsThatOfEverythingThatIsSaid) {
  const v1::Pipeline pipeline = NewsPipeline();
  const std::string digest = PipelineDigest(pipeline);
  EXPECT_EQ(digest, PipelineDigest(NewsPipeline()));
  const auto changed = [&](auto change) {
    v1::Pipeline copy = pipeline;
    change(copy);
    return PipelineDigest(copy) != digest;
  };
  EXPECT_TRUE(changed([](v1::Pipeline& p) { p.set_description("other"); }));
  EXPECT_TRUE(changed([](v1::Pipeline& p) { p.mutable_stages(0)->set_concurrency(7); }));
  EXPECT_TRUE(changed([](v1::Pipeline& p) { (*p.mutable_files())["places.csv"] += " "; }));
  EXPECT_TRUE(changed([](v1::Pipeline& p) { p.mutable_bindings(0)->set_template_("x"); }));
  EXPECT_FALSE(changed([](v1::Pipeline& p) { p.mutable_bindings()->SwapElements(0, 1); }));
}

TEST(PipelineDigestTest, GivesTheVectorOfTheFormatsPage) {
  const std::string page = ReadFile("docs/formats.md");
  const auto block = [&](const std::string& opening) {
    const size_t begin = page.find("```" + opening + "\n");
    EXPECT_NE(begin, std::string::npos) << opening;
    const size_t text = begin + opening.size() + 4;
    return begin == std::string::npos ? "" : page.substr(text, page.find("```", text) - text);
  };
  const StatusOr<PipelineFile> file = ReadPipeline(block("pipeline-digest-yaml"), "formats.md", TestFiles());
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string canonical = CanonicalFields(file->pipeline, Effect::kAny, file->pipeline.files());
  EXPECT_EQ(canonical + "\n" + PipelineDigest(file->pipeline) + "\n", block("pipeline-digest-json"));
}

}  // namespace
}  // namespace millrace
