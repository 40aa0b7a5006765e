// The pipelines that the project ships, as their files stand in configs/.
#include "server/config/pipeline_file.h"

#include <gmock/gmock.h>

#include "server/config/binding.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

TEST(ShippedPipelinesTest, AreRightAndBindTheirParameters) {
  int pipelines = 0;
  for (const auto& entry : std::filesystem::directory_iterator("configs/pipelines")) {
    if (entry.path().extension() != ".yaml") continue;
    ++pipelines;
    const FileLoader load_file = [&](std::string_view path) -> StatusOr<std::string> {
      return ReadFile(entry.path().parent_path() / path);
    };
    const StatusOr<PipelineFile> file =
        ReadPipeline(ReadFile(entry.path()), entry.path().filename().string(), load_file);
    ASSERT_THAT(Problems(file.status()), testing::IsEmpty());
    for (const auto& [name, content] : file->pipeline.files()) EXPECT_FALSE(content.empty()) << name;
    ParameterValues values;
    for (const auto& [name, parameter] : file->pipeline.parameters()) {
      if (parameter.has_string() && !parameter.string().has_default_()) values[name].set_string("some.csv");
    }
    EXPECT_THAT(Problems(BindParameters(file->pipeline, TestStages(), values).status()), testing::IsEmpty());
  }
  EXPECT_GT(pipelines, 0);
}

}  // namespace
}  // namespace millrace
