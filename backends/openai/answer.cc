#include "backends/openai/answer.h"

#include <boost/json.hpp>
#include <cmath>

#include "backends/openai/failure.h"
#include "server/base/json.h"

namespace millrace::backend::openai {
namespace {

constexpr double kTokensMax = 1e12;  // a larger number is not a count

Action BadAnswer(int status, std::string message) {
  return Fail{{.outcome = Outcome::kAnsweredBad,
               .reason = Reason::kBadResponse,
               .message = std::move(message),
               .retry_after = std::nullopt,
               .http_status = status}};
}

// Returns the content if it is text, else the joined texts of its parts.
std::string ContentOf(const json::value& message) {
  const json::value* content = FindPath(message, "content");
  if (content == nullptr || !content->is_array()) return TextAt(message, "content");
  std::string text;
  for (const json::value& part : content->get_array()) text += TextAt(part, "text");
  return text;
}

FinishReason FinishOf(std::string_view reason) {
  if (reason == "stop" || reason == "eos") return FinishReason::kStop;
  if (reason == "length") return FinishReason::kLength;
  if (reason == "content_filter") return FinishReason::kContentFilter;
  return FinishReason::kOther;
}

// Returns a plausible count. Providers have sent none, negative ones, and 1e18.
std::optional<int64_t> CountAt(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  const double count = found->is_double() ? found->get_double() : found->to_number<double>();
  if (!(count >= 0) || count > kTokensMax || count != std::floor(count)) return std::nullopt;
  return static_cast<int64_t>(count);
}

}  // namespace

Action ReadAnswer(const Response& response) {
  if (response.status < 200 || response.status >= 300) return Fail{ReadFailure(response)};
  json::error_code error;
  const json::value value = json::parse(json::string_view(response.body.data(), response.body.size()), error);
  if (error) return BadAnswer(response.status, "the provider's answer is not JSON: " + Excerpt(response.body));
  // Some proxies send an error with status 200.
  if (const json::value* problem = FindPath(value, "error"); problem != nullptr && !problem->is_null()) {
    Response failed = response;
    failed.status = 500;
    return Fail{ReadFailure(failed)};
  }
  const json::value* choice = FindPath(value, "choices.0");
  const json::value* message = choice == nullptr ? nullptr : FindPath(*choice, "message");
  if (message == nullptr || !message->is_object()) {
    return BadAnswer(response.status, "the provider's answer has no message: " + Excerpt(response.body));
  }
  Answer answer;
  answer.text = ContentOf(*message);
  answer.finish_reason = FinishOf(TextAt(*choice, "finish_reason"));
  if (std::string refusal = TextAt(*message, "refusal"); !refusal.empty() && answer.text.empty()) {
    answer.text = std::move(refusal);
    answer.finish_reason = FinishReason::kRefusal;
  }
  answer.input_tokens = CountAt(value, "usage.prompt_tokens");
  answer.output_tokens = CountAt(value, "usage.completion_tokens");
  answer.reported_model = TextAt(value, "model");
  return Done{std::move(answer)};
}

}  // namespace millrace::backend::openai
