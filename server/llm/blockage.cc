#include "server/llm/blockage.h"

#include "server/llm/advice.h"
#include "server/llm/classify.h"

namespace millrace {

Blockage BlockageOf(const Target& target, const backend::Failure& failure) {
  const Status error = ErrorOf(failure);
  return {.target = target.Name(),
          .reason = ReasonOf(error),
          .error = std::string(MessageOf(error)),
          .advice = AdviceOn(target.entry(), target.model(), ReasonOf(error))};
}

}  // namespace millrace
