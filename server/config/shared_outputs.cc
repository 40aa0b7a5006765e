#include "server/config/shared_outputs.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string>

#include "server/config/field_path.h"
#include "server/files/file_access.h"
#include "server/stages/registry.h"

namespace millrace {
namespace {

std::string Normal(const std::string& file) { return std::filesystem::path(file).lexically_normal().string(); }

}  // namespace

std::vector<FieldViolation> SharedOutputs(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                          const FileAccess* files) {
  std::map<std::string, std::string> templates;
  for (const v1::Binding& binding : pipeline.bindings()) templates.emplace(binding.path(), binding.template_());
  // The files with their fields' paths in the pipeline; of a field that is bound, its template.
  const auto in_pipeline = [&](int index, std::vector<StageFile> found) {
    std::erase_if(found, [&](StageFile& file) {
      file.field = PathOfField(PathOfElement("stages", static_cast<size_t>(index)), file.field);
      if (const auto bound = templates.find(file.field); bound != templates.end()) file.path = bound->second;
      return file.path.empty();
    });
    return found;
  };

  std::map<std::string, std::string> readers;  // by file
  if (files == nullptr) {
    for (const auto& [name, content] : pipeline.files()) readers.emplace(Normal(name), "the pipeline is defined by it");
  }
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    for (StageFile& source : in_pipeline(i, stages.FilesReadBy(stage))) {
      if (files != nullptr) {
        StatusOr<std::string> found = files->ForReading(source.path);
        if (!found.ok()) continue;  // reported when it is opened
        source.path = *std::move(found);
      }
      readers.emplace(Normal(source.path), fmt::format("the stage \"{}\" reads it", Excerpt(stage.name())));
    }
  }

  struct Writer {
    std::string stage;
    bool holds_tables = false;
  };
  std::map<std::string, Writer> writers;  // by file
  std::vector<FieldViolation> violations;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    for (const StageFile& output : in_pipeline(i, stages.FilesWrittenBy(stage))) {
      const StatusOr<std::string> found = files == nullptr ? output.path : files->ForWriting(output.path);
      if (!found.ok()) continue;  // the stage can't be made
      const std::string file = Normal(*found);
      if (const auto reader = readers.find(file); reader != readers.end()) {
        violations.push_back(
            {output.field, fmt::format("the stage \"{}\" would overwrite {}: {}", Excerpt(stage.name()),
                                       Excerpt(output.path, 256), reader->second)});
      }
      const auto [first, is_new] = writers.emplace(file, Writer{stage.name(), output.holds_tables});
      if (is_new || (first->second.holds_tables && output.holds_tables)) continue;
      violations.push_back(
          {output.field, fmt::format("the stages \"{}\" and \"{}\" would both write {}", Excerpt(first->second.stage),
                                     Excerpt(stage.name()), Excerpt(output.path, 256))});
    }
  }
  return violations;
}

}  // namespace millrace
