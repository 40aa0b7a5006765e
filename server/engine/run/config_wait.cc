#include "server/engine/run/config_wait.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "server/engine/step/model_use.h"
#include "server/engine/times.h"

namespace millrace {
namespace {

std::vector<std::string> MissingModels(const EngineDeps& deps, const storage::v1::RunRecord& record) {
  v1::Pipeline definition;
  if (!definition.ParseFromString(record.definition())) return {};
  std::vector<std::string> missing = ModelsOf(deps, definition);
  std::erase_if(missing, [&deps](const std::string& model) { return deps.models.CheckModel(model).ok(); });
  return missing;
}

}  // namespace

v1::WaitingOn WaitForConfig(const EngineDeps& deps, const storage::v1::RunRecord& record, const Status& why) {
  const std::vector<std::string> missing = MissingModels(deps, record);
  v1::WaitingOn waiting;
  waiting.set_reason(v1::WaitingOn::REASON_CONFIG);
  waiting.set_object(fmt::format("{}", fmt::join(missing, ", ")));
  *waiting.mutable_since() = ToTimestamp(deps.loop.clock().WallMicros());
  waiting.set_error(static_cast<v1::ErrorReason>(ReasonOf(why)));
  if (missing.empty()) {
    std::string_view cure = "the run continues with a configuration that allows it";
    if (ReasonOf(why) == Reason::kFileError) cure = "put it back or create it, then resume the run";
    if (why.code() == absl::StatusCode::kDataLoss) cure = "restore the data directory from a backup";
    waiting.set_remedy(fmt::format("{}; {}; to end the run, cancel it", Excerpt(MessageOf(why), 500), cure));
    return waiting;
  }
  const bool is_one = missing.size() == 1;
  waiting.set_remedy(
      fmt::format("{} `{}` {} not configured here; the run continues with a configuration that has {}, such as the one "
                  "that it was started with (`--config FILE`); to end the run, cancel it",
                  is_one ? "model" : "models", fmt::join(missing, "`, `"), is_one ? "is" : "are",
                  is_one ? "this model" : "these models"));
  return waiting;
}

}  // namespace millrace
