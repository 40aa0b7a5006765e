#include "server/llm/blockage.h"

#include <fmt/format.h>

#include "server/llm/classify.h"
#include "server/llm/target.h"

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

std::string AdviceOn(const Target& target, Reason reason) {
  const std::string& backend = target.entry().name;
  switch (reason) {
    case Reason::kProviderCredentials:
      return AdviceOnCredentials(target.entry());
    case Reason::kProviderQuota:
      return fmt::format("add credit or raise the limit in the provider's account of backend `{}`", backend);
    case Reason::kProviderModel:
      return fmt::format(
          "correct the model's name or the URL of backend `{}` in the configuration, or add the model "
          "`{}` there",
          backend, Excerpt(target.model(), 256));
    case Reason::kProviderHost:
      return fmt::format("correct the host name in the URL of backend `{}`, or the name service", backend);
    default:
      return fmt::format("correct backend `{}`", backend);
  }
}

}  // namespace

Blockage BlockageOf(const Target& target, const backend::Failure& failure) {
  const Status error = ErrorOf(failure);
  return {.target = target.Name(),
          .reason = ReasonOf(error),
          .error = std::string(MessageOf(error)),
          .advice = AdviceOn(target, ReasonOf(error))};
}

}  // namespace millrace
