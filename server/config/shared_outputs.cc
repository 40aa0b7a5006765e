#include "server/config/shared_outputs.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string>

#include "server/config/field_path.h"

namespace millrace {
namespace {

// Where a store writes: the field that says so, and what stands there.
struct Output {
  std::string field;
  std::string file;
  bool has_tables = false;
};

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

}  // namespace

std::vector<FieldViolation> SharedOutputs(const v1::Pipeline& pipeline) {
  std::map<std::string, std::string> templates;
  for (const v1::Binding& binding : pipeline.bindings()) templates.emplace(binding.path(), binding.template_());

  struct Writer {
    std::string stage;
    bool has_tables = false;
  };
  std::map<std::string, Writer> writers;  // by file
  std::vector<FieldViolation> violations;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    Output output = OutputOf(stage.store(), PathOfElement("stages", static_cast<size_t>(i)));
    if (const auto bound = templates.find(output.field); bound != templates.end()) output.file = bound->second;
    if (output.file.empty()) continue;
    const std::string file = std::filesystem::path(output.file).lexically_normal().string();
    const auto [first, is_new] = writers.emplace(file, Writer{stage.name(), output.has_tables});
    if (is_new || (first->second.has_tables && output.has_tables)) continue;
    violations.push_back(
        {output.field, fmt::format("the stages \"{}\" and \"{}\" would both write {}", Excerpt(first->second.stage),
                                   Excerpt(stage.name()), Excerpt(output.file, 256))});
  }
  return violations;
}

}  // namespace millrace
