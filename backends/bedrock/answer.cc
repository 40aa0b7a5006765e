#include "backends/bedrock/answer.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "backends/bedrock/failure.h"
#include "backends/sdk/reply_json.h"
#include "server/base/json.h"

namespace millrace::backend::bedrock {
namespace {

std::optional<FinishReason> FinishOf(std::string_view reason) {
  if (reason == "end_turn" || reason == "stop_sequence") return FinishReason::kStop;
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return FinishReason::kLength;
  if (reason == "guardrail_intervened" || reason == "content_filtered") return FinishReason::kContentFilter;
  if (reason == "refusal") return FinishReason::kRefusal;
  return std::nullopt;
}

}  // namespace

void ReadUsage(const json::value& usage, std::string_view model, AnswerParts& parts) {
  const auto input = CountAt(usage, "inputTokens");
  parts.output_tokens = CountAt(usage, "outputTokens");
  if (!input) return;
  const int64_t cached =
      CountAt(usage, "cacheReadInputTokens").value_or(0) + CountAt(usage, "cacheWriteInputTokens").value_or(0);
  const bool is_inside = model.find("openai.") != std::string_view::npos &&
                         CountAt(usage, "totalTokens") == *input + parts.output_tokens.value_or(0);
  parts.input_tokens = is_inside ? *input : *input + cached;
}

Action AnswerOf(AnswerParts parts, AnswerForm form) {
  const bool has_tool_answer = form == AnswerForm::kTool && parts.tool_calls > 0;
  if (has_tool_answer && parts.tool_calls > 1) {
    return Fail{BadResponse(fmt::format("the model gave {} answers instead of one", parts.tool_calls))};
  }
  std::optional<FinishReason> finish = FinishOf(parts.stop_reason);
  if (parts.stop_reason == "tool_use" && has_tool_answer) finish = FinishReason::kStop;
  if (!finish) {
    return Fail{BadResponse(fmt::format("the model stopped for the reason `{}`, which does not end an answer",
                                        Excerpt(parts.stop_reason)))};
  }
  Answer answer;
  answer.text = has_tool_answer ? std::move(parts.tool_input) : std::move(parts.text);
  answer.finish_reason = *finish;
  answer.input_tokens = parts.input_tokens;
  answer.output_tokens = parts.output_tokens;
  return Done{std::move(answer)};
}

Action ReadAnswer(const Response& response, AnswerForm form, std::string_view model) {
  const StatusOr<json::value> value = ParseReply(response.body);
  if (!value.ok()) {
    return Fail{BadResponse(fmt::format("the response can't be read: {}; it begins `{}`",
                                        std::string_view(MessageOf(value.status())), Excerpt(response.body)),
                            response.status)};
  }
  const json::value* content = FindPath(*value, "output.message.content");
  if (content == nullptr || !content->is_array()) {
    return Fail{BadResponse("the response has no message: " + Excerpt(response.body, 200), response.status)};
  }
  AnswerParts parts;
  for (const json::value& block : content->get_array()) {
    parts.text += TextAt(block, "text");
    if (const json::value* tool = FindPath(block, "toolUse"); tool != nullptr) {
      ++parts.tool_calls;
      const json::value* input = FindPath(*tool, "input");
      parts.tool_input = input == nullptr ? "{}" : json::serialize(*input);
    }
  }
  parts.stop_reason = TextAt(*value, "stopReason");
  if (const json::value* usage = FindPath(*value, "usage"); usage != nullptr) ReadUsage(*usage, model, parts);
  return AnswerOf(std::move(parts), form);
}

}  // namespace millrace::backend::bedrock
