// Helpers of the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/config/document.h"
#include "server/config/field_value.h"
#include "server/config/pipeline_file.h"
#include "server/stages/registry.h"

namespace millrace {

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::filesystem::path DataDir() {
  const char* dir = std::getenv("MILLRACE_DATA");
  return dir != nullptr ? dir : "../shared/data";
}

// Every problem of an error, a line each.
inline std::vector<std::string> Problems(const Status& status) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    lines.push_back(violation.field + ": " + violation.description);
  }
  return lines;
}

inline FieldTree FieldsCalled(const std::vector<std::string>& names) {
  FieldTree fields;
  for (const std::string& name : names) fields.Put(name);
  return fields;
}

// The kinds of the product, which make no stages and whose items have these fields.
inline StageRegistry TestStages() {
  StageRegistry stages = BuiltinStages();
  const auto change = [&](std::string_view name, StageKind::Fields (*fields)(const v1::Stage&)) {
    StageKind kind = *stages.Find(name);
    kind.make = nullptr;
    kind.fields = fields;
    stages.Add(std::move(kind));
  };
  change("fetch", [](const v1::Stage&) { return StageKind::Fields{FieldTree::Any(), true}; });
  change("prepare", [](const v1::Stage&) { return StageKind::Fields{FieldsCalled({"theater"}), false}; });
  change("cluster", [](const v1::Stage&) {
    return StageKind::Fields{FieldsCalled({"id", "members", "size", "title", "theater"}), true};
  });
  change("merge", [](const v1::Stage&) { return StageKind::Fields{FieldsCalled({"merged"}), false}; });
  change("synthesize", [](const v1::Stage&) { return StageKind::Fields{FieldsCalled({"summary", "kind"}), false}; });
  change("store", [](const v1::Stage&) { return StageKind::Fields{FieldTree(), true}; });
  return stages;
}

inline FileLoader TestFiles() {
  return [](std::string_view path) -> StatusOr<std::string> {
    if (path == "places.csv") return "name,theater\nChile,Americas\n";
    return MakeError(Reason::kFileError, "no such file");
  };
}

inline StatusOr<PipelineFile> ReadTestPipeline(std::string_view text) {
  const StageRegistry stages = TestStages();
  return ReadPipeline(text, "p.yaml", TestFiles(), &stages);
}

// A pipeline of one fetch, one prepare with `rules`.
inline std::string PipelineText(std::string_view stage) {
  std::string text = "name: p\nparameters: {n: 3, s: text, f: 0.5, b: true, d: 30s}\nstages:\n";
  text += "- {name: a, fetch: {inline: {}}}\n";
  text += "- name: b\n  needs: [a]\n";
  std::istringstream lines{std::string(stage)};
  for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
  return text;
}

// A tree as JSON. A scalar that is ambiguous counts as text here.
inline std::string JsonOf(const YamlNode& node) {
  std::string out;
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "null";
    case YamlNode::Kind::kScalar:
      return ScalarToJson({node.text, node.quoted}).value_or(QuoteJson(node.text));
    case YamlNode::Kind::kList:
      for (const YamlNode& element : node.elements) out += (out.empty() ? "" : ",") + JsonOf(element);
      return "[" + out + "]";
    case YamlNode::Kind::kMap:
      for (const YamlMember& member : node.members) {
        out += (out.empty() ? "" : ",") + QuoteJson(member.name) + ":" + JsonOf(member.value);
      }
      return "{" + out + "}";
  }
  return out;
}

}  // namespace millrace
