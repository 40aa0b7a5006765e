// Parser of a chat completion that comes as server-sent events.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backends/openai/completion.h"
#include "backends/sdk/backend.h"
#include "backends/sdk/sse.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::openai {

// Reads the body of one response. The answer is complete with the event `[DONE]`; for servers that send none, with the
// end of a response that had a finish reason. Any other end is PARTIAL. After Done or Fail the stream is used up.
class ChatStream {
 public:
  // Both must outlive the stream.
  ChatStream(const v1::OpenaiBackend& config, const Head& head) : config_(config), head_(head) {}

  // Reads the next bytes. Returns More with the text that they add, Done or Fail.
  Action Read(std::string_view bytes);

  // Reads the end of the response. Returns Done or Fail.
  Action End();

 private:
  // Returns Done or Fail if the event ends the answer; else appends its text to `delta`.
  std::optional<Action> Take(const SseEvent& event, std::string& delta);
  std::optional<Action> TakeChoice(const boost::json::value& choice, std::string& delta);
  // Returns the failure that an event reports.
  Action Failed(std::string_view error) const;
  Action Partial() const;

  const v1::OpenaiBackend& config_;
  const Head& head_;
  SseReader reader_;
  Completion completion_;
};

}  // namespace millrace::backend::openai
