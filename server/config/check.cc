#include "server/config/check.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <set>

#include "server/base/utf8.h"
#include "server/config/binding.h"
#include "server/config/field_path.h"
#include "server/config/field_value.h"
#include "server/config/fields_read.h"
#include "server/config/place.h"
#include "server/config/rules.h"
#include "server/config/shared_outputs.h"
#include "server/config/stages_refused.h"
#include "server/stages/registry.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

constexpr size_t kFileBytesMax = 4u << 20;

using google::protobuf::FieldDescriptor;

std::string StagePath(int index) { return PathOfElement("stages", static_cast<size_t>(index)); }

BoundPaths BoundPathsOf(const v1::Pipeline& pipeline) {
  BoundPaths paths;
  for (const v1::Binding& binding : pipeline.bindings()) paths.insert(binding.path());
  return paths;
}

// Returns true if the pipeline is beyond the bounds of pipeline.proto, which CheckRules reports.
bool IsTooLarge(const v1::Pipeline& pipeline) {
  return pipeline.stages_size() > 100 || pipeline.parameters_size() > 100 || pipeline.bindings_size() > 1000 ||
         pipeline.measures_size() > 100 || pipeline.files_size() > 100;
}

// Returns true for `stages[3]`, and false for a field within it.
bool IsStage(std::string_view path) { return ParentPath(path) == "stages"; }

class PipelineChecker {
 public:
  PipelineChecker(const v1::Pipeline& pipeline, const StageRegistry& stages, const Bindings& bindings)
      : pipeline_(pipeline), registry_(stages), bindings_(bindings), bound_(BoundPathsOf(pipeline)) {}

  std::vector<FieldViolation> Check() {
    violations_ = CheckRules(pipeline_, bound_);
    // The checks below rely on the bounds: they recurse along needs and compare names with names.
    if (IsTooLarge(pipeline_)) return std::move(violations_);
    const std::vector<FieldViolation> bindings = bindings_.Check();
    violations_.insert(violations_.end(), bindings.begin(), bindings.end());
    CheckNames();
    CheckNeeds();
    CheckCycles();
    CheckFiles();
    CheckMeasures();
    return std::move(violations_);
  }

 private:
  void Refuse(std::string path, std::string what) { violations_.push_back({std::move(path), std::move(what)}); }

  void CheckNames() {
    for (int i = 0; i < pipeline_.stages_size(); ++i) {
      const std::string& name = pipeline_.stages(i).name();
      if (name.empty()) continue;
      const auto [known, is_new] = stages_.emplace(name, i);
      if (!is_new)
        Refuse(StagePath(i) + ".name", fmt::format("{} has the name \"{}\" too", StagePath(known->second), name));
      if (is_new) names_.push_back(name);
    }
  }

  // Refuses options that the kind's shape does not have.
  void CheckShape(int index, const StageKind& kind) {
    const v1::Stage& stage = pipeline_.stages(index);
    const std::string path = StagePath(index);
    if (stage.has_timeout() && kind.shape != StageShape::kCalling) {
      Refuse(path + ".timeout", "only a stage that calls models has a time limit for an item");
    }
    if (kind.shape != StageShape::kFetch) {
      if (stage.needs_size() == 0) Refuse(path, "needs must name the stages whose items it takes");
      return;
    }
    if (stage.needs_size() > 0) {
      Refuse(path + ".needs", fmt::format("a {} takes no items of other stages", kind.name));
    }
    if (stage.has_when()) Refuse(path + ".when", fmt::format("a {} has no items to choose from", kind.name));
  }

  void CheckNeeds() {
    for (int i = 0; i < pipeline_.stages_size(); ++i) {
      const v1::Stage& stage = pipeline_.stages(i);
      const std::string path = StagePath(i) + ".needs";
      if (const StageKind* kind = registry_.Of(stage)) CheckShape(i, *kind);
      std::set<std::string> seen;
      for (int j = 0; j < stage.needs_size(); ++j) {
        const std::string& need = stage.needs(j);
        const std::string at = PathOfElement(path, static_cast<size_t>(j));
        if (!seen.insert(need).second) Refuse(at, fmt::format("\"{}\" is named twice", Excerpt(need)));
        const auto found = stages_.find(need);
        if (found == stages_.end()) {
          Refuse(at, fmt::format("unknown stage \"{}\"{}", Excerpt(need), DidYouMean(need, names_)));
        } else if (const StageKind* kind = registry_.Of(pipeline_.stages(found->second));
                   kind != nullptr && kind->shape == StageShape::kSink) {
          Refuse(at, fmt::format("\"{}\" is a {}: no items come out of it", need, kind->name));
        }
      }
    }
  }

  // Depth-first; a stage on the present path that is met again closes a cycle.
  void CheckCycles() {
    enum class Mark { kNew, kOpen, kDone };
    std::vector<Mark> marks(static_cast<size_t>(pipeline_.stages_size()), Mark::kNew);
    std::vector<int> path;
    const auto visit = [&](const auto& self, int index) -> void {
      Mark& mark = marks[static_cast<size_t>(index)];
      if (mark == Mark::kDone) return;
      if (mark == Mark::kOpen) {
        std::string cycle;
        for (auto at = std::find(path.begin(), path.end(), index); at != path.end(); ++at) {
          cycle += pipeline_.stages(*at).name() + " needs ";
        }
        Refuse(StagePath(index) + ".needs", fmt::format("is a cycle: {}{}", cycle, pipeline_.stages(index).name()));
        return;
      }
      mark = Mark::kOpen;
      path.push_back(index);
      for (const std::string& need : pipeline_.stages(index).needs()) {
        if (const auto found = stages_.find(need); found != stages_.end()) self(self, found->second);
      }
      path.pop_back();
      mark = Mark::kDone;
    };
    for (int i = 0; i < pipeline_.stages_size(); ++i) visit(visit, i);
  }

  void CheckFiles() {
    size_t bytes = 0;
    std::vector<std::string> names;
    for (const auto& [name, content] : pipeline_.files()) {
      bytes += content.size();
      names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    if (bytes > kFileBytesMax) {
      Refuse("files",
             fmt::format("definition files have {} bytes together, over the limit of {}", bytes, kFileBytesMax));
    }
    VisitStrings(pipeline_, "", [&](const FieldDescriptor& field, const std::string& path, const std::string& value) {
      if (!RulesOf(field).definition_file() || value.empty()) return;
      const auto file = pipeline_.files().find(value);
      if (file == pipeline_.files().end()) {
        Refuse(path, fmt::format("the definition file \"{}\" was not sent with the pipeline{}", Excerpt(value),
                                 DidYouMean(value, names)));
      } else if (const size_t end = Utf8End(file->second); end < file->second.size()) {
        Refuse(path, fmt::format("the definition file \"{}\" is not UTF-8: byte {} (0x{:02x})", Excerpt(value), end,
                                 static_cast<unsigned char>(file->second[end])));
      }
    });
  }

  void CheckMeasures() {
    std::map<std::string, int> measures;
    std::vector<std::string> known;
    for (int i = 0; i < pipeline_.measures_size(); ++i) {
      const v1::Measure& measure = pipeline_.measures(i);
      const std::string path = PathOfElement("measures", static_cast<size_t>(i));
      const auto check_stage = [&](std::string_view figure, const std::string& stage) {
        const std::string at = fmt::format("{}.{}.stage", path, figure);
        if (stage.empty() || bound_.contains(at)) return;
        const auto found = stages_.find(stage);
        if (found == stages_.end()) {
          Refuse(at, fmt::format("unknown stage \"{}\"{}", Excerpt(stage), DidYouMean(stage, names_)));
        }
      };
      const auto check_measure = [&](std::string_view side, const std::string& name) {
        if (name.empty() || measures.contains(name)) return;
        Refuse(fmt::format("{}.ratio.{}", path, side),
               fmt::format("no measure \"{}\" comes before this one{}", Excerpt(name), DidYouMean(name, known)));
      };
      if (measure.has_count()) check_stage("count", measure.count().stage());
      if (measure.has_share()) check_stage("share", measure.share().stage());
      if (measure.has_mean()) check_stage("mean", measure.mean().stage());
      if (measure.has_sum()) check_stage("sum", measure.sum().stage());
      if (measure.has_quantile()) check_stage("quantile", measure.quantile().stage());
      if (measure.has_ratio()) {
        check_measure("of", measure.ratio().of());
        check_measure("to", measure.ratio().to());
      }
      if (measure.name().empty()) continue;
      if (!measures.emplace(measure.name(), i).second) {
        Refuse(path + ".name", fmt::format("duplicate measure \"{}\"", Excerpt(measure.name())));
      }
      known.push_back(measure.name());
    }
  }

  const v1::Pipeline& pipeline_;
  const StageRegistry& registry_;
  const Bindings& bindings_;
  const BoundPaths bound_;
  std::map<std::string, int> stages_;  // by name
  std::vector<std::string> names_;     // in their order
  std::vector<FieldViolation> violations_;
};

}  // namespace

std::vector<FieldViolation> PipelineViolations(const v1::Pipeline& pipeline, const StageRegistry& stages) {
  const Bindings bindings(pipeline);
  std::vector<FieldViolation> violations = PipelineChecker(pipeline, stages, bindings).Check();
  if (IsTooLarge(pipeline)) return violations;
  const v1::Pipeline with_defaults = bindings.BindDefaults();
  for (const std::vector<FieldViolation>& more :
       {SharedOutputs(with_defaults, stages), FieldsReadUnmade(with_defaults, stages)}) {
    violations.insert(violations.end(), more.begin(), more.end());
  }
  const std::vector<FieldViolation> before = violations;
  for (FieldViolation& refused : StagesRefused(with_defaults, stages)) {
    // A stage also refuses what the checks before it have reported in their words.
    const bool is_told = std::any_of(before.begin(), before.end(), [&](const FieldViolation& told) {
      return IsBelow(told.field, refused.field) || (IsBelow(refused.field, told.field) && !IsStage(told.field));
    });
    if (!is_told) violations.push_back(std::move(refused));
  }
  return violations;
}

std::vector<FieldViolation> PipelineDoubts(const v1::Pipeline& pipeline, const StageRegistry& stages) {
  std::vector<FieldViolation> doubts;
  if (IsTooLarge(pipeline)) return doubts;
  const v1::Pipeline with_defaults = Bindings(pipeline).BindDefaults();
  for (int i = 0; i < with_defaults.stages_size(); ++i) {
    const StageKind* kind = stages.Of(with_defaults.stages(i));
    if (kind == nullptr || !kind->doubts) continue;
    for (FieldViolation& doubt : kind->doubts(with_defaults, with_defaults.stages(i))) {
      doubts.push_back({PathOfField(StagePath(i), doubt.field), std::move(doubt.description)});
    }
  }
  return doubts;
}

Status CheckPipeline(const v1::Pipeline& pipeline, const StageRegistry& stages) {
  const std::vector<FieldViolation> violations = PipelineViolations(pipeline, stages);
  return violations.empty() ? absl::OkStatus() : DefinitionError(violations);
}

}  // namespace millrace
