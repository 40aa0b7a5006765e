// Strings and files that nobody would write: never a crash, a hang or silence.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <chrono>

#include "backends/builtin.h"
#include "server/base/json.h"
#include "server/base/random.h"
#include "server/config/address.h"
#include "server/config/binding.h"
#include "server/config/check.h"
#include "server/config/document.h"
#include "server/config/field_value.h"
#include "server/config/scalar.h"
#include "server/config/server_config.h"
#include "server/http/guard.h"
#include "server/text/nearest.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

std::vector<std::string> NaughtyStrings() {
  const StatusOr<json::value> value = ParseJson(ReadFile(DataDir() / "bad-inputs" / "strings" / "blns.json"));
  std::vector<std::string> strings;
  if (!value.ok()) return strings;
  for (const json::value& element : value->as_array()) strings.emplace_back(element.as_string());
  return strings;
}

v1::Pipeline NewsPipeline() {
  const StatusOr<PipelineFile> file = ReadTestPipeline(ReadFile("tests/config/data/news.yaml"));
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? file->pipeline : v1::Pipeline();
}

TEST(NaughtyStringsTest, AreRefusedAsNamesAndTakenAsText) {
  const std::vector<std::string> strings = NaughtyStrings();
  if (strings.empty()) GTEST_SKIP() << "the list of strings is not on this machine (MILLRACE_DATA)";
  EXPECT_GT(strings.size(), 100u);
  const StageRegistry stages = BuiltinStages();
  const v1::Pipeline pipeline = NewsPipeline();
  for (const std::string& text : strings) {
    v1::Pipeline copy = pipeline;
    copy.set_name(text);
    copy.mutable_stages(1)->set_name(text);
    copy.mutable_stages(2)->set_needs(0, text);
    copy.mutable_bindings(0)->set_path(text);
    copy.mutable_bindings(1)->set_template_(text);
    copy.mutable_stages(3)->mutable_synthesize()->set_output_schema(text);
    (*copy.mutable_parameters())[text].mutable_int_();
    EXPECT_FALSE(CheckPipeline(copy, stages).ok()) << text;

    v1::ParameterValue value;
    value.set_string(text);
    const StatusOr<BoundPipeline> bound = BindParameters(pipeline, TestStages(), {{"input", value}});
    EXPECT_EQ(bound.ok(), !text.empty() && text.size() <= 4096) << text;
    if (bound.ok()) {
      EXPECT_EQ(bound->pipeline.stages(0).fetch().csv().path(), text);
    }
    EXPECT_FALSE(BindParameters(pipeline, TestStages(), {{text, value}}).ok()) << text;
    (void)BindParameters(pipeline, TestStages(),
                         {{"min_titles", value}, {"window", value}, {"thorough", value}, {"threshold", value}});
  }
}

TEST(NaughtyStringsTest, ComeBackAsTheyWereFromQuotesInYaml) {
  for (const std::string& text : NaughtyStrings()) {
    const std::string quoted = QuoteJson(text);
    const StatusOr<YamlNode> node = ReadYaml("a: " + quoted + "\n", "f");
    if (quoted.find("\x7f") != std::string::npos) continue;  // JSON does not escape it, and a file must not have it
    ASSERT_TRUE(node.ok()) << quoted << " " << node.status();
    EXPECT_EQ(node->members[0].value.text, text);
  }
}

TEST(NaughtyStringsTest, NeverCrashAReader) {
  for (const std::string& text : NaughtyStrings()) {
    (void)ReadTestPipeline(text);
    (void)ReadTestPipeline(PipelineText("when: " + text));
    (void)ReadTestPipeline(PipelineText(text + ": 1"));
    (void)ReadTestPipeline(PipelineText("concurrency: " + text + "\ntimeout: " + text + "\ncache: " + text));
    (void)ReadServerConfig("data_dir: " + text + "\n" + text, "f", TestFiles(), backend::BuiltinBackends());
    KindOf(text);
    ParseDuration(text);
    ParseHostPort(text);
    EXPECT_FALSE(IsLoopback(text) && text != "localhost" && text != "127.0.0.1" && text != "::1") << text;
    (void)CheckBackendUrl(text);
    NearestName(text, {"a", "name"});
    EXPECT_EQ(ParseDuration(text).has_value(), KindOf(text) == ScalarKind::kDuration) << text;
  }
}

TEST(MutatedYamlTest, NeverCrashesOrHangsAReader) {
  const StageRegistry stages = BuiltinStages();
  std::vector<std::string> sources = {ReadFile("tests/config/data/news.yaml")};
  if (std::string shipped = ReadFile("configs/pipelines/news-events.yaml"); !shipped.empty()) {
    sources.push_back(std::move(shipped));
  }
  const std::vector<std::string> tokens = {"[",
                                           "]",
                                           "{",
                                           "}",
                                           ": ",
                                           "- ",
                                           "\n",
                                           "  ",
                                           "\t",
                                           "'",
                                           "\"",
                                           "|",
                                           ">",
                                           "&a ",
                                           "*a",
                                           "!!x ",
                                           "#",
                                           "%",
                                           "@",
                                           "`",
                                           "? ",
                                           "---\n",
                                           "...\n",
                                           "$(",
                                           "$(x)",
                                           "$$(",
                                           "~",
                                           "<<: ",
                                           std::string(1, '\0'),
                                           "\xff",
                                           "\xef\xbb\xbf",
                                           "999999999999999999999",
                                           "-1",
                                           "1e400",
                                           "007",
                                           "null",
                                           "true",
                                           "5%",
                                           "30s",
                                           "name: ",
                                           "stages: ",
                                           "\r",
                                           "\\",
                                           ","};
  Random random(11);
  int accepted = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = sources[random.Below(sources.size())];
    for (uint64_t change = 1 + random.Below(4); change > 0; --change) {
      const size_t at = random.Below(text.size() + 1);
      const size_t size = std::min<size_t>(random.Below(20), text.size() - at);
      switch (random.Below(5)) {
        case 0:
          text.erase(at, size);
          break;
        case 1:
          text.insert(at, text.substr(at, size));
          break;
        case 2:
          text.insert(at, tokens[random.Below(tokens.size())]);
          break;
        case 3:
          if (at < text.size()) text[at] = static_cast<char>(random.Below(256));
          break;
        default:
          text.replace(at, size, tokens[random.Below(tokens.size())]);
      }
    }
    const StatusOr<PipelineFile> file = ReadPipeline(text, "p.yaml", TestFiles(), &stages);
    if (!file.ok()) {
      EXPECT_EQ(ReasonOf(file.status()), Reason::kInvalidDefinition);
      EXPECT_FALSE(ViolationsOf(file.status()).empty());
      continue;
    }
    ++accepted;
    (void)BindParameters(file->pipeline, TestStages(), ParameterValues());
  }
  EXPECT_GT(accepted, 20);
}

}  // namespace
}  // namespace millrace
