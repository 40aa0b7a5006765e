#include "server/llm/advice.h"

#include <fmt/format.h>

#include "server/llm/admission/admission.h"
#include "server/llm/classify.h"

namespace millrace {
namespace {

std::string AdviceOnCredentials(const BackendEntry& entry) {
  if (entry.aws != nullptr) return fmt::format("give backend `{}` valid AWS credentials", entry.name);
  if (entry.secret_source.empty()) {
    return fmt::format("set `api_key` of backend `{}` in the configuration, which is read at the start", entry.name);
  }
  return fmt::format("correct the API key of backend `{}` in {}, which is read at the start", entry.name,
                     entry.secret_source);
}

}  // namespace

std::string AdviceOn(const BackendEntry& entry, std::string_view model, Reason reason) {
  const std::string& backend = entry.name;
  switch (reason) {
    case Reason::kProviderCredentials:
      return AdviceOnCredentials(entry);
    case Reason::kProviderQuota:
      return fmt::format("add credit or raise the limit in the provider's account of backend `{}`", backend);
    case Reason::kProviderModel:
      return fmt::format(
          "correct the model's name or the URL of backend `{}` in the configuration, or add the model "
          "`{}` there",
          backend, Excerpt(model, 256));
    case Reason::kProviderHost:
      return fmt::format("correct the host name in the URL of backend `{}`, or the name service", backend);
    default:
      return fmt::format("correct backend `{}`", backend);
  }
}

Status ErrorAt(const Target& target, const backend::Failure& failure) {
  if (NeedsHuman(failure.outcome)) return ErrorOf(BlockageOf(target, failure));
  const Status error = WithContext(ErrorOf(failure), target.Name());
  const std::string& advice = target.manifest().if_unreachable;
  const bool is_unreachable = failure.outcome == backend::Outcome::kNotSent && !advice.empty();
  return is_unreachable ? MakeError(ReasonOf(error), fmt::format("{}; {}", MessageOf(error), advice)) : error;
}

Status ErrorOf(const Blockage& blockage) {
  return MakeError(blockage.reason, fmt::format("{}: {}; {}", blockage.target, blockage.error, blockage.advice));
}

}  // namespace millrace
