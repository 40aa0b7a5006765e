#include "server/config/pipeline_file.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <set>

#include "server/config/check.h"
#include "server/config/document.h"
#include "server/config/field_value.h"
#include "server/config/reader.h"
#include "server/config/rules.h"
#include "server/stages/registry.h"

namespace millrace {
namespace {

// Returns true if a violation only follows from a part of the file that could not be read.
bool IsConsequence(const FieldViolation& violation, const std::vector<Problem>& problems) {
  return std::any_of(problems.begin(), problems.end(), [&](const Problem& problem) {
    return !problem.path.empty() &&
           (IsBelow(violation.field, problem.path) || ParentPath(problem.path) == violation.field);
  });
}

void LoadFiles(v1::Pipeline& pipeline, const FileLoader& load_file, Reading& reading) {
  std::set<std::pair<std::string, std::string>> wanted;  // file, and the path of the field that names it
  VisitStrings(pipeline, "",
               [&](const google::protobuf::FieldDescriptor& field, const std::string& path, const std::string& value) {
                 if (RulesOf(field).definition_file() && !value.empty()) wanted.emplace(value, path);
               });
  for (const auto& [file, path] : wanted) {
    if (pipeline.files().contains(file)) continue;
    StatusOr<std::string> content = load_file(file);
    if (content.ok()) {
      (*pipeline.mutable_files())[file] = *std::move(content);
    } else {
      reading.problems.push_back(
          {PlaceOf(reading.places, path), path,
           fmt::format("can't read the definition file \"{}\": {}", Excerpt(file), MessageOf(content.status()))});
    }
  }
}

}  // namespace

StatusOr<PipelineFile> ReadPipeline(std::string_view text, std::string_view filename, const FileLoader& load_file,
                                    const StageRegistry* stages) {
  MR_ASSIGN_OR_RETURN(const YamlNode tree, ReadYaml(text, filename));
  PipelineFile file{.pipeline = {}, .filename = std::string(filename), .places = {}};
  Reading reading = ReadMessage(tree, file.pipeline, Parameters::kInStages);
  if (tree.kind != YamlNode::Kind::kMap) return DefinitionError(filename, std::move(reading.problems));
  for (v1::Binding& binding : reading.bindings) *file.pipeline.add_bindings() = std::move(binding);
  LoadFiles(file.pipeline, load_file, reading);

  const std::vector<Problem> unread = reading.problems;
  static const StageRegistry none;
  const std::vector<FieldViolation> violations = PipelineViolations(file.pipeline, stages == nullptr ? none : *stages);
  for (const FieldViolation& violation : violations) {
    if (IsConsequence(violation, unread)) continue;
    reading.problems.push_back({PlaceOf(reading.places, violation.field), violation.field, violation.description});
  }
  if (!reading.problems.empty()) return DefinitionError(filename, std::move(reading.problems));
  file.places = std::move(reading.places);
  return file;
}

Status WithPlaces(const Status& status, const PipelineFile& file) {
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  if (violations.empty()) return status;
  std::vector<Problem> problems;
  for (const FieldViolation& violation : violations) {
    problems.push_back({PlaceOf(file.places, violation.field), violation.field, violation.description});
  }
  return DefinitionError(file.filename, std::move(problems));
}

}  // namespace millrace
