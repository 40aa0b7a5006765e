#include "backends/openai/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "backends/openai/failure.h"
#include "backends/sdk/reply_json.h"

namespace millrace::backend::openai {
namespace {

// Returns the content if it is text, else the joined texts of its parts. Parts of other types, such as reasoning, are
// left out.
StatusOr<std::string> ContentOf(const json::value& message) {
  const json::value* content = FindPath(message, "content");
  if (content == nullptr || content->is_null()) return "";
  if (content->is_string()) return TextAt(message, "content");
  if (!content->is_array()) return MakeError(Reason::kBadResponse, "the content is neither text nor parts of text");
  std::string text;
  for (const json::value& part : content->get_array()) {
    const std::string type = TextAt(part, "type");
    if (type.empty() || type == "text" || type == "output_text") text += TextAt(part, "text");
  }
  return text;
}

std::optional<FinishReason> FinishOf(const std::string& reason, const v1::OpenaiBackend& config) {
  // Others than `stop` are those of compatible servers, such as text-generation-inference.
  for (const char* known : {"stop", "eos", "eos_token", "stop_sequence"}) {
    if (reason == known) return FinishReason::kStop;
  }
  const auto& more = config.stop_reasons();
  if (std::find(more.begin(), more.end(), reason) != more.end()) return FinishReason::kStop;
  if (reason == "length" || reason == "max_tokens") return FinishReason::kLength;
  if (reason == "content_filter") return FinishReason::kContentFilter;
  if (reason == "refusal") return FinishReason::kRefusal;
  return std::nullopt;
}

}  // namespace

StatusOr<std::string> Completion::Add(const json::value& message) {
  const std::string refusal = TextAt(message, "refusal");
  MR_ASSIGN_OR_RETURN(const std::string content, ContentOf(message));
  if (const json::value* calls = FindPath(message, "tool_calls"); calls != nullptr && !IsNothing(*calls)) {
    calls_tools_ = true;
    if (tool_.empty()) tool_ = TextAt(*calls, "0.function.name");
  }
  is_refused_ |= !refusal.empty();
  std::string added = filter_.Take(content) + refusal;
  text_ += added;
  return added;
}

void Completion::AddFinishReason(const json::value& choice) {
  if (std::string reason = TextAt(choice, "finish_reason"); !reason.empty()) finish_reason_ = std::move(reason);
}

void Completion::AddFacts(const json::value& response) {
  if (std::string model = TextAt(response, "model"); !model.empty()) model_ = std::move(model);
  if (const auto count = CountAt(response, "usage.prompt_tokens")) input_tokens_ = count;
  if (const auto count = CountAt(response, "usage.completion_tokens")) output_tokens_ = count;
}

Action Completion::End(const v1::OpenaiBackend& config, const Head& head) && {
  if (calls_tools_) {
    return Fail{BadAnswer(head, fmt::format("the model called the tool `{}`, but was offered none", Excerpt(tool_)))};
  }
  std::optional<FinishReason> finish = FinishOf(finish_reason_, config);
  if (is_refused_) finish = FinishReason::kRefusal;
  if (!finish) {
    return Fail{BadAnswer(
        head,
        fmt::format("the answer ended {}; if this server ends whole answers so, add it to the backend's "
                    "stop_reasons",
                    finish_reason_.empty() ? "without a finish reason (an empty text in stop_reasons)"
                                           : fmt::format("with the finish reason `{}`", Excerpt(finish_reason_))))};
  }
  Answer answer;
  answer.text = std::move(text_) + filter_.End();
  answer.finish_reason = *finish;
  answer.input_tokens = input_tokens_;
  answer.output_tokens = output_tokens_;
  answer.reported_model = std::move(model_);
  return Done{std::move(answer)};
}

bool HasError(const json::value& response) {
  const json::value* error = FindPath(response, "error");
  // vLLM before 0.10.1 sends the members of an error at the top level.
  return error != nullptr ? !IsNothing(*error) : TextAt(response, "object") == "error";
}

}  // namespace millrace::backend::openai
