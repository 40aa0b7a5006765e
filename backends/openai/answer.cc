#include "backends/openai/answer.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "backends/openai/completion.h"
#include "backends/openai/failure.h"
#include "backends/sdk/reply_json.h"
#include "backends/sdk/status_meaning.h"

namespace millrace::backend::openai {

Action ReadAnswer(const v1::OpenaiBackend& config, const Head& head, std::string_view body) {
  if (!IsSuccess(head.status)) return Fail{ReadFailure(config, head, body)};
  const auto value = ParseReply(body);
  if (!value.ok()) return Fail{NotJson(config, head, body, value.status())};
  if (HasError(*value)) return Fail{ReadFailure(config, head, body)};  // some proxies send an error with status 200
  const json::value* choices = FindPath(*value, "choices");
  const json::value* message = choices == nullptr ? nullptr : FindPath(*choices, "0.message");
  if (message == nullptr || !message->is_object()) {
    return Fail{BadAnswer(head, fmt::format("the answer has no message: {}", Excerpt(body)))};
  }
  if (const size_t count = choices->get_array().size(); count != 1) {
    return Fail{BadAnswer(head, fmt::format("the answer has {} choices instead of one", count))};
  }
  Completion completion;
  if (const auto added = completion.Add(*message); !added.ok()) {
    return Fail{BadAnswer(head, std::string(MessageOf(added.status())))};
  }
  completion.AddFinishReason(choices->get_array()[0]);
  completion.AddFacts(*value);
  return std::move(completion).End(config, head);
}

}  // namespace millrace::backend::openai
