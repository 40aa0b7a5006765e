#include "backends/bedrock/stream.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "backends/bedrock/failure.h"
#include "backends/sdk/reply_json.h"
#include "server/base/json.h"

namespace millrace::backend::bedrock {
namespace {

Status Bad(std::string_view why) { return MakeError(Reason::kBadResponse, fmt::format("the stream {}", why)); }

}  // namespace

Action ConverseStream::Add(std::string_view bytes) {
  reader_.Add(bytes);
  More more;
  while (true) {
    const StatusOr<std::optional<EventMessage>> message = reader_.Next();
    if (!message.ok()) return Fail{BadResponse(std::string(MessageOf(message.status())))};
    if (!*message) return more;
    const std::string_view type = (*message)->TextOf(":message-type");
    if (type == "exception" || type == "error") return Fail{ReadStreamFailure(**message)};
    if (type != "event") continue;  // as for events: what came later to the protocol is not ours
    if (const Status status = TakeEvent(**message, more.delta); !status.ok()) {
      return Fail{BadResponse(std::string(MessageOf(status)))};
    }
  }
}

Status ConverseStream::TakeEvent(const EventMessage& message, std::string& delta) {
  const std::string_view type = message.TextOf(":event-type");
  if (type == "messageStart") {
    if (has_started_) return Bad("has a second message");
    has_started_ = true;
    return absl::OkStatus();
  }
  const bool is_of_content = type == "contentBlockStart" || type == "contentBlockDelta";
  if (!is_of_content && type != "messageStop" && type != "metadata") return absl::OkStatus();
  if (has_stopped_ && type != "metadata") return Bad(fmt::format("has the event `{}` after `messageStop`", type));
  StatusOr<json::value> event = ParseReply(message.payload);
  if (!event.ok()) {
    return WithContext(event.status(), fmt::format("the event `{}` of the stream can't be read", type));
  }
  if (type == "contentBlockStart" && FindPath(*event, "start.toolUse") != nullptr) {
    ++parts_.tool_calls;
  } else if (type == "contentBlockDelta") {
    return TakeDelta(*event, delta);
  } else if (type == "messageStop") {
    TakeStop(*event, delta);
  } else if (type == "metadata") {
    has_metadata_ = true;
    if (const json::value* usage = FindPath(*event, "usage"); usage != nullptr) ReadUsage(*usage, model_, parts_);
  }
  return absl::OkStatus();
}

Status ConverseStream::TakeDelta(const json::value& event, std::string& delta) {
  const std::string text = TextAt(event, "delta.text");
  parts_.text += text;
  // A model may talk before it calls the tool, and only the call is the answer.
  if (form_ == AnswerForm::kText) delta += text;
  if (const json::value* tool = FindPath(event, "delta.toolUse"); tool != nullptr) {
    const std::string input = TextAt(*tool, "input");
    parts_.tool_calls = std::max(parts_.tool_calls, 1);
    if (parts_.tool_calls > 1 && form_ == AnswerForm::kTool) return Bad("has a second answer");
    parts_.tool_input += input;
    if (form_ == AnswerForm::kTool) delta += input;
  }
  return absl::OkStatus();
}

void ConverseStream::TakeStop(const json::value& event, std::string& delta) {
  has_stopped_ = true;
  parts_.stop_reason = TextAt(event, "stopReason");
  if (form_ != AnswerForm::kTool) return;
  if (parts_.tool_calls == 0) {
    delta += parts_.text;  // the model ignored the tool
  } else if (parts_.tool_input.empty()) {
    parts_.tool_input = "{}";  // streams write an empty object as nothing
    delta += parts_.tool_input;
  }
}

Action ConverseStream::End() {
  if (has_stopped_ && has_metadata_ && reader_.End().ok()) return AnswerOf(std::move(parts_), form_);
  const char* how = !reader_.End().ok() ? "inside a message"
                    : has_stopped_      ? "without `metadata`"
                                        : "without `messageStop`";
  return Fail{Cut(fmt::format("the stream ended {}", how))};
}

}  // namespace millrace::backend::bedrock
