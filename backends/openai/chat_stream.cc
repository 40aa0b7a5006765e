#include "backends/openai/chat_stream.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <utility>

#include "backends/openai/failure.h"
#include "backends/sdk/reply_json.h"

namespace millrace::backend::openai {
namespace {

constexpr std::string_view kTerminal = "[DONE]";

bool IsBlank(std::string_view text) { return text.find_first_not_of(" \t") == std::string_view::npos; }

}  // namespace

Action ChatStream::Read(std::string_view bytes) {
  std::vector<SseEvent> events;
  const Status status = reader_.Read(bytes, events);
  std::string delta;
  for (const SseEvent& event : events) {
    if (std::optional<Action> end = Take(event, delta)) return *std::move(end);
  }
  if (!status.ok()) return Fail{BadAnswer(head_, std::string(MessageOf(status)))};
  return More{std::move(delta)};
}

Action ChatStream::End() {
  std::string delta;
  // A server may leave out the last line end; an event that was cut is not JSON.
  if (const std::optional<SseEvent> event = reader_.End()) {
    if (event->data != kTerminal && !ParseReply(event->data).ok()) return Partial();
    if (std::optional<Action> end = Take(*event, delta)) return *std::move(end);
  }
  if (completion_.finish_reason().empty()) return Partial();
  return std::move(completion_).End(config_, head_);
}

std::optional<Action> ChatStream::Take(const SseEvent& event, std::string& delta) {
  if (IsBlank(event.data)) return std::nullopt;
  if (event.data == kTerminal) return std::move(completion_).End(config_, head_);
  const auto value = ParseReply(event.data);
  if (event.type == "error" || (value.ok() && HasError(*value))) return Failed(event.data);
  if (!value.ok() || !value->is_object()) {
    // Events of another type than `message`, such as `ping`, may contain anything.
    if (!event.type.empty() && event.type != "message") return std::nullopt;
    return Fail{BadAnswer(head_, fmt::format("an event of the stream is not a JSON object: {}", Excerpt(event.data)))};
  }
  completion_.AddFacts(*value);
  const json::value* choices = FindPath(*value, "choices");
  if (choices == nullptr || !choices->is_array()) return std::nullopt;
  for (const json::value& choice : choices->get_array()) {
    if (std::optional<Action> end = TakeChoice(choice, delta)) return end;
  }
  return std::nullopt;
}

std::optional<Action> ChatStream::TakeChoice(const json::value& choice, std::string& delta) {
  if (CountAt(choice, "index").value_or(0) != 0) {
    return Fail{BadAnswer(head_, "the stream has more choices than the one that was requested")};
  }
  if (const json::value* message = FindPath(choice, "delta"); message != nullptr && !IsNothing(*message)) {
    const StatusOr<std::string> added = completion_.Add(*message);
    if (!added.ok()) return Fail{BadAnswer(head_, std::string(MessageOf(added.status())))};
    if (!added->empty() && !completion_.finish_reason().empty()) {
      return Fail{BadAnswer(head_, "the stream has text after its finish reason")};
    }
    delta += *added;
  }
  completion_.AddFinishReason(choice);
  return std::nullopt;
}

Action ChatStream::Failed(std::string_view error) const {
  Failure failure = ReadFailure(config_, head_, error);
  // An answer that broke off in its middle is likely billed.
  if (completion_.has_text() && MayBeRetried(failure.outcome)) failure.outcome = Outcome::kPartial;
  return Fail{std::move(failure)};
}

Action ChatStream::Partial() const {
  Failure failure = BadAnswer(head_, "the stream ended before its answer did");
  failure.outcome = Outcome::kPartial;
  failure.reason = Reason::kTargetFailed;
  return Fail{std::move(failure)};
}

}  // namespace millrace::backend::openai
