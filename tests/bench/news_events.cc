#include "tests/bench/news_events.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "server/config/binding.h"
#include "server/config/pipeline_file.h"
#include "server/stages/registry.h"

namespace millrace {

StatusOr<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("no file " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

StatusOr<v1::Pipeline> LoadNewsEvents(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  MR_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path));
  MR_ASSIGN_OR_RETURN(const PipelineFile file, ReadPipeline(text, path, [&](std::string_view name) {
                        return ReadWholeFile(folder + std::string(name));
                      }));
  ParameterValues values;
  values["input"].set_string("titles.csv");
  MR_ASSIGN_OR_RETURN(BoundPipeline bound, BindParameters(file.pipeline, BuiltinStages(), values));
  return std::move(bound.pipeline);
}

const v1::Stage& StageNamed(const v1::Pipeline& pipeline, const std::string& name) {
  for (const v1::Stage& stage : pipeline.stages()) {
    if (stage.name() == name) return stage;
  }
  std::abort();
}

std::string DataDirectory() {
  const char* directory = std::getenv("MILLRACE_DATA");
  return directory == nullptr || *directory == '\0' ? "../shared/data" : directory;
}

}  // namespace millrace
