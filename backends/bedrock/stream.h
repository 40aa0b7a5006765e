// Events of a ConverseStream response, which become deltas and one answer.
#pragma once

#include <string>
#include <string_view>

#include "backends/bedrock/answer.h"
#include "backends/sdk/backend.h"
#include "backends/sdk/event_stream.h"

namespace millrace::backend::bedrock {

class ConverseStream {
 public:
  ConverseStream(AnswerForm form, std::string model) : form_(form), model_(std::move(model)) {}

  // Takes the next bytes. Returns More, with the text that they add to the answer; Fail if the stream reports an error
  // or violates the protocol.
  Action Add(std::string_view bytes);

  // Takes the end of the stream. The stream is an answer only if it had the events `messageStop` and `metadata`;
  // anything less was cut.
  Action End();

 private:
  // Each adds what an event means to `parts_`, and to `delta` what may be shown at once.
  Status TakeEvent(const EventMessage& message, std::string& delta);
  Status TakeDelta(const boost::json::value& event, std::string& delta);
  void TakeStop(const boost::json::value& event, std::string& delta);

  const AnswerForm form_;
  const std::string model_;
  EventStreamReader reader_;
  AnswerParts parts_;
  bool has_started_ = false;
  bool has_stopped_ = false;
  bool has_metadata_ = false;
};

}  // namespace millrace::backend::bedrock
