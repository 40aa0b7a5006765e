#include "server/config/stages_refused.h"

#include <algorithm>

#include "server/config/field_path.h"
#include "server/config/place.h"
#include "server/files/file_access.h"
#include "server/stages/rules/condition.h"
#include "server/stages/stage_work.h"

namespace millrace {
namespace {

// Allows every path: only the server that runs the pipeline knows which paths it allows.
class AnyFile final : public FileAccess {
 public:
  StatusOr<std::string> ForReading(std::string_view path) const override { return std::string(path); }
  StatusOr<std::string> ForWriting(std::string_view path) const override { return std::string(path); }
};

// Returns the list that holds the field, since entries may be judged by each other (each threshold by the one before
// it); the field alone if it is in no list.
std::string_view JudgedTogether(std::string_view field, std::string_view stage) {
  const size_t entry = field.rfind('[');
  return entry == std::string_view::npos || entry <= stage.size() ? field : field.substr(0, entry);
}

}  // namespace

std::vector<FieldViolation> StagesRefused(const v1::Pipeline& pipeline, const StageRegistry& stages) {
  std::vector<FieldViolation> refused;
  const AnyFile files;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    const std::string path = PathOfElement("stages", static_cast<size_t>(i));
    std::vector<FieldViolation> wrong;
    if (stage.has_when()) {
      wrong = ViolationsBelow(path + ".when", rules::ConditionEvaluator::Compile(stage.when()).status());
    }
    if (const StageKind* kind = stages.Of(stage); kind != nullptr && kind->make) {
      const StatusOr<StageWork> made = kind->make(StageDefinition{pipeline, stage, files});
      for (FieldViolation& each : ViolationsBelow(path, made.status())) wrong.push_back(std::move(each));
    }
    std::erase_if(wrong, [&](const FieldViolation& violation) {
      const std::string_view judged = JudgedTogether(violation.field, path);
      return std::any_of(pipeline.bindings().begin(), pipeline.bindings().end(), [&](const v1::Binding& binding) {
        return IsBelow(binding.path(), judged) || IsBelow(violation.field, binding.path());
      });
    });
    std::move(wrong.begin(), wrong.end(), std::back_inserter(refused));
  }
  return refused;
}

}  // namespace millrace
