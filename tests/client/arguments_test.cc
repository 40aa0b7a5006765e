#include "client/cli/arguments.h"

#include <gmock/gmock.h>

namespace millrace::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(ArgumentsTest, APipelineWithYamlOrASlashIsAFile) {
  for (const char* file : {"pipeline.yaml", "p.yml", "./news", "configs/news-events"})
    EXPECT_TRUE(IsFile(file)) << file;
  for (const char* name : {"news-events", "yaml", ""}) EXPECT_FALSE(IsFile(name)) << name;
}

TEST(ArgumentsTest, ParametersAreSplitAtTheFirstEqualsSign) {
  google::protobuf::Map<std::string, v1::ParameterValue> values;
  ASSERT_TRUE(ReadParameters({"input=a=b.csv", "empty=", "n=3"}, values).ok());
  EXPECT_EQ(values["input"].string(), "a=b.csv");
  EXPECT_EQ(values["empty"].string(), "");
  EXPECT_EQ(values["n"].string(), "3");
  EXPECT_THAT(ReadParameters({"x=1", "x=1"}, values).ToString(), HasSubstr("-p x: given more than once"));
  for (const char* wrong : {"input", "=x", ""}) {
    const Status status = ReadParameters({wrong}, values);
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidField) << wrong;
    EXPECT_THAT(status.ToString(), HasSubstr("expected NAME=VALUE")) << wrong;
  }
}

TEST(ArgumentsTest, InputsNameAStageAndAFile) {
  const StatusOr<std::vector<InputFile>> inputs = ReadInputs({"titles=dir/a=b.csv", "more=/dev/stdin"});
  ASSERT_TRUE(inputs.ok()) << inputs.status();
  EXPECT_EQ(inputs->at(0).stage, "titles");
  EXPECT_EQ(inputs->at(0).file, "dir/a=b.csv") << "split at the first equals sign";
  EXPECT_EQ(inputs->at(1).stage, "more");
  EXPECT_EQ(ReadInputs({"titles=-"})->at(0).file, "/dev/stdin");
  EXPECT_EQ(ReadInputs({"titles=./-"})->at(0).file, "./-");
  EXPECT_THAT(ReadInputs({"a=x", "a=y"}).status().ToString(), HasSubstr("--input a: given more than once"));
  EXPECT_THAT(ReadInputs({"a=-", "b=/dev/stdin"}).status().ToString(),
              HasSubstr("--input b: standard input is already used for a"));
  EXPECT_EQ(ReasonOf(ReadInputs({"titles"}).status()), Reason::kInvalidField);
  EXPECT_EQ(ReasonOf(ReadInputs({"=x.csv"}).status()), Reason::kInvalidField);
}

TEST(ArgumentsTest, StatesAndReasonsAreReadInAnyCase) {
  EXPECT_EQ(ReadRunState("running").value(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(ReadRunState("PAUSED").value(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(ReadItemState("Degraded").value(), v1::ITEM_STATE_DEGRADED);
  EXPECT_EQ(ReadReason("schema").value(), v1::ERROR_REASON_SCHEMA);
  for (const char* wrong : {"", "unspecified", "done", "RUN_STATE_RUNNING", "\x1b[2J"}) {
    EXPECT_EQ(ReasonOf(ReadRunState(wrong).status()), Reason::kInvalidField) << wrong;
    EXPECT_EQ(ReasonOf(ReadItemState(wrong).status()), Reason::kInvalidField) << wrong;
    EXPECT_EQ(ReasonOf(ReadReason(wrong).status()), Reason::kInvalidField) << wrong;
  }
}

TEST(ArgumentsTest, TheFilesOfFetchesAreThoseOfTheBoundPipeline) {
  v1::Pipeline pipeline;
  pipeline.set_name("p");
  (*pipeline.mutable_parameters())["input"].mutable_string();
  v1::Stage& titles = *pipeline.add_stages();
  titles.set_name("titles");
  titles.mutable_fetch()->mutable_csv()->set_path("$(input)");
  v1::Binding& binding = *pipeline.add_bindings();
  binding.set_path("stages[0].fetch.csv.path");
  binding.set_template_("$(input)");
  v1::Stage& more = *pipeline.add_stages();
  more.set_name("more");
  more.mutable_fetch()->mutable_jsonl()->set_path("more.jsonl");
  v1::Stage& sent = *pipeline.add_stages();
  sent.set_name("sent");
  sent.mutable_fetch()->mutable_inline_();
  v1::CreateRunRequest request;
  (*request.mutable_parameters())["input"].set_string("mine.csv");
  const std::vector<InputFile> files = FilesOfFetches(pipeline, request);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].stage + "=" + files[0].file, "titles=mine.csv");
  EXPECT_EQ(files[1].stage + "=" + files[1].file, "more=more.jsonl");
  EXPECT_THAT(InputAdvice(files, "titles"), HasSubstr("`--input titles=mine.csv`"));
  EXPECT_EQ(InputAdvice(files, "saved"), "");
  request.clear_parameters();
  EXPECT_THAT(FilesOfFetches(pipeline, request), IsEmpty());
  request.add_client_inputs("titles");
  const std::vector<InputFile> others = FilesOfFetches(pipeline, request);
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].stage, "more");
  (*request.mutable_parameters())["unknown"].set_string("x");
  EXPECT_THAT(FilesOfFetches(pipeline, request), IsEmpty());
}

}  // namespace
}  // namespace millrace::cli
