#include "server/llm/traced_sender.h"

#include <boost/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/base/json.h"
#include "server/base/utf8.h"
#include "server/llm/classify.h"
#include "server/llm/validate.h"
#include "server/trace/names.h"

namespace millrace {
namespace {

// Passes the moments on, and notes them in the span.
class TracedMoments final : public AttemptMoments {
 public:
  TracedMoments(AttemptMoments& inner, trace::Span& span) : inner_(inner), span_(span) {}

  Task<bool> Started() override {
    const bool may_start = co_await inner_.Started();
    if (may_start) span_.AddEvent("recorded as started");
    co_return may_start;
  }
  void Received() override { inner_.Received(); }
  void Ended() override {
    if (!std::exchange(has_ended_, true)) span_.AddEvent("last byte");
    inner_.Ended();
  }
  Task<void> Answered(RawAnswer answer) override {
    if (answer.http_status != 0) span_.Set(trace::kHttpStatus, int64_t{answer.http_status});
    co_await inner_.Answered(std::move(answer));
    span_.AddEvent("recorded as answered");
  }
  void Delta(std::string_view text) override {
    if (!std::exchange(has_text_, true)) span_.AddEvent("first text");
    inner_.Delta(text);
  }

 private:
  AttemptMoments& inner_;
  trace::Span& span_;
  bool has_ended_ = false;
  bool has_text_ = false;
};

// Returns the beginning of a text that takes at most `bytes_max` bytes as the inside of a JSON string, and takes these
// from `bytes_max`.
std::string_view TakePrefix(std::string_view text, size_t& bytes_max) {
  size_t size = 0;
  for (; size < text.size(); ++size) {
    const char c = text[size];
    const bool is_control = static_cast<unsigned char>(c) < 0x20;
    const size_t bytes = is_control ? 6 : (c == '"' || c == '\\' ? 2 : 1);
    if (bytes > bytes_max) break;
    bytes_max -= bytes;
  }
  return Utf8Prefix(text, size);
}

json::object Message(std::string_view role, std::string_view content) {
  json::object part;
  part["type"] = "text";
  part["content"] = content;
  json::object message;
  message["role"] = role;
  message["parts"] = json::array{std::move(part)};
  return message;
}

// Sets messages (role, text) as JSON of at most the trace's limit: as many as fit, the last of them cut. A prompt may
// be far larger.
template <typename Change>
void SetMessages(trace::Span& span, const char* key,
                 const std::vector<std::pair<std::string_view, std::string_view>>& messages, Change change) {
  // Bytes of a message beside its content, with its finish reason.
  constexpr size_t kFrameBytes = 128;
  size_t left = span.ref().trace->text_bytes_max();
  json::array list;
  for (const auto& [role, text] : messages) {
    if (left <= kFrameBytes) break;
    left -= kFrameBytes;
    const std::string_view content = TakePrefix(text, left);
    list.push_back(Message(role, content));
    change(list.back().get_object());
    if (content.size() < text.size()) break;
  }
  span.Set(key, json::serialize(list));
}

void SetAddress(trace::Span& span, std::string_view origin) {
  const size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return;
  std::string_view host = origin.substr(scheme + 3);
  int64_t port = origin.starts_with("https") ? 443 : 80;
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    port = std::atoll(std::string(host.substr(colon + 1)).c_str());
    host = host.substr(0, colon);
  }
  span.Set(trace::kServerAddress, host);
  span.Set(trace::kServerPort, port);
}

void Describe(trace::Span& span, const backend::Request& request) {
  span.Set(trace::kGenAiMaxTokens, int64_t{request.max_tokens});
  if (request.temperature) span.Set(trace::kGenAiTemperature, *request.temperature);
  span.Set(trace::kGenAiOutputType, request.output_schema.empty() ? "text" : "json");
  if (!span.records_content()) return;
  std::vector<std::pair<std::string_view, std::string_view>> messages;
  for (const backend::Message& message : request.messages) messages.emplace_back(message.role, message.content);
  SetMessages(span, trace::kGenAiInputMessages, messages, [](json::object&) {});
}

// Starts the span of an attempt.
trace::Span Begin(const AttemptOrder& order) {
  const auto* request = std::get_if<backend::Request>(&order.question);
  const char* const operation = request != nullptr ? "chat" : "embeddings";
  const std::string& model =
      request != nullptr ? request->model : std::get<backend::EmbedRequest>(order.question).model;
  trace::Span span(order.trace, operation, trace::SpanKind::kClient, model);
  span.Set(trace::kGenAiOperation, operation);
  span.Set(trace::kGenAiProvider, order.entry->backend->manifest().kind);
  span.Set(trace::kGenAiRequestModel, model);
  span.Set(trace::kBackend, order.entry->name);
  SetAddress(span, order.entry->secret_origin);
  if (request != nullptr) Describe(span, *request);
  return span;
}

void DescribeAnswer(trace::Span& span, const backend::Answer& answer) {
  const std::string reason(FinishReasonName(answer.finish_reason));
  if (!answer.reported_model.empty()) span.Set(trace::kGenAiResponseModel, answer.reported_model);
  span.Set(trace::kGenAiFinishReasons, std::vector<std::string>{reason});
  if (answer.input_tokens) span.Set(trace::kGenAiInputTokens, *answer.input_tokens);
  if (answer.output_tokens) span.Set(trace::kGenAiOutputTokens, *answer.output_tokens);
  if (!span.records_content()) return;
  SetMessages(span, trace::kGenAiOutputMessages, {{"assistant", answer.text}},
              [&reason](json::object& message) { message["finish_reason"] = reason; });
}

void DescribeFailure(trace::Span& span, const backend::Failure& failure) {
  if (failure.http_status != 0) span.Set(trace::kHttpStatus, int64_t{failure.http_status});
  std::string outcome = v1::AttemptOutcome_Name(AttemptOutcomeOf(failure.outcome));
  outcome.erase(0, std::string_view("ATTEMPT_OUTCOME_").size());
  span.Set(trace::kOutcome, outcome);
  if (failure.retry_after) {
    span.Set(trace::kRetryAfterMs, std::chrono::duration_cast<std::chrono::milliseconds>(*failure.retry_after).count());
  }
  span.Fail(failure.http_status != 0 ? std::to_string(failure.http_status) : outcome, failure.message);
}

}  // namespace

Task<AttemptResult> TracedSender::SendTraced(AttemptOrder order, AttemptMoments& moments) {
  trace::Span span = Begin(order);
  if (span.propagates()) {
    const trace::TraceContext context = span.context();
    order.headers.emplace_back(trace::kTraceparentKey, trace::FormatTraceparent(context));
    if (!context.state.empty()) order.headers.emplace_back(trace::kTracestateKey, context.state);
  }
  order.trace = span.ref();
  TracedMoments traced(moments, span);
  AttemptResult result = co_await inner_.Send(std::move(order), traced);
  if (const auto* answer = std::get_if<backend::Answer>(&result)) {
    DescribeAnswer(span, *answer);
  } else {
    DescribeFailure(span, std::get<backend::Failure>(result));
  }
  co_return result;
}

}  // namespace millrace
