#include "server/config/shared_outputs.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string>

#include "server/config/field_path.h"
#include "server/stages/stage.h"

namespace millrace {
namespace {

// Where a store writes: the field that says so, and what stands there.
struct Output {
  std::string field;
  std::string file;
  bool has_tables = false;
};

// The same of what a fetch reads.
struct Source {
  std::string field;
  std::string file;
};

Source SourceOf(const v1::Fetch& fetch, const std::string& stage) {
  if (fetch.has_csv()) return {stage + ".fetch.csv.path", fetch.csv().path()};
  if (fetch.has_jsonl()) return {stage + ".fetch.jsonl.path", fetch.jsonl().path()};
  return {};
}

Output OutputOf(const v1::Store& store, const std::string& stage) {
  switch (store.sink_case()) {
    case v1::Store::kSqlite:
      return {stage + ".store.sqlite.path", store.sqlite().path(), true};
    case v1::Store::kJsonl:
      return {stage + ".store.jsonl.path", store.jsonl().path()};
    case v1::Store::kCsv:
      return {stage + ".store.csv.path", store.csv().path()};
    case v1::Store::SINK_NOT_SET:
      break;
  }
  return {};
}

std::string Normal(const std::string& file) { return std::filesystem::path(file).lexically_normal().string(); }

}  // namespace

std::vector<FieldViolation> SharedOutputs(const v1::Pipeline& pipeline, const FileAccess* files) {
  std::map<std::string, std::string> templates;
  for (const v1::Binding& binding : pipeline.bindings()) templates.emplace(binding.path(), binding.template_());
  const auto written = [&](const std::string& field, const std::string& file) {
    const auto bound = templates.find(field);
    return bound == templates.end() ? file : bound->second;
  };

  std::map<std::string, std::string> readers;  // by file
  if (files == nullptr) {
    for (const auto& [name, content] : pipeline.files()) readers.emplace(Normal(name), "the pipeline is defined by it");
  }
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    const Source source = SourceOf(stage.fetch(), PathOfElement("stages", static_cast<size_t>(i)));
    std::string file = written(source.field, source.file);
    if (file.empty()) continue;
    if (files != nullptr) {
      StatusOr<std::string> found = files->ForReading(file);
      if (!found.ok()) continue;  // told when it is opened
      file = *std::move(found);
    }
    readers.emplace(Normal(file), fmt::format("the stage \"{}\" reads it", Excerpt(stage.name())));
  }

  struct Writer {
    std::string stage;
    bool has_tables = false;
  };
  std::map<std::string, Writer> writers;  // by file
  std::vector<FieldViolation> violations;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    Output output = OutputOf(stage.store(), PathOfElement("stages", static_cast<size_t>(i)));
    output.file = written(output.field, output.file);
    if (output.file.empty()) continue;
    const StatusOr<std::string> found = files == nullptr ? output.file : files->ForWriting(output.file);
    if (!found.ok()) continue;  // the stage can't be made
    const std::string file = Normal(*found);
    if (const auto reader = readers.find(file); reader != readers.end()) {
      violations.push_back({output.field, fmt::format("the stage \"{}\" would overwrite {}: {}", Excerpt(stage.name()),
                                                      Excerpt(output.file, 256), reader->second)});
    }
    const auto [first, is_new] = writers.emplace(file, Writer{stage.name(), output.has_tables});
    if (is_new || (first->second.has_tables && output.has_tables)) continue;
    violations.push_back(
        {output.field, fmt::format("the stages \"{}\" and \"{}\" would both write {}", Excerpt(first->second.stage),
                                   Excerpt(stage.name()), Excerpt(output.file, 256))});
  }
  return violations;
}

}  // namespace millrace
