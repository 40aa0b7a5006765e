// A chat completion while its parts are collected, from a whole response or from the events of a stream, and the
// judgement of its end.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>

#include "backends/sdk/backend.h"
#include "backends/sdk/reasoning.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"

namespace millrace::backend::openai {

class Completion {
 public:
  // Adds a `message`, or the `delta` of a stream. Returns the text that it adds to the answer; fails if its content is
  // not understood.
  StatusOr<std::string> Add(const boost::json::value& message);

  // Adds `finish_reason`, `model` and `usage`. Members that are absent or empty leave what is known.
  void AddFinishReason(const boost::json::value& choice);
  void AddFacts(const boost::json::value& response);

  bool has_text() const { return !text_.empty(); }
  const std::string& finish_reason() const { return finish_reason_; }

  // Returns Done if the finish reason is known, else Fail: an end that is not understood may hide half an answer.
  Action End(const v1::OpenaiBackend& config, const Head& head) &&;

 private:
  ReasoningFilter filter_;
  std::string text_;
  std::string finish_reason_;
  std::string tool_;  // name of a tool that the model wants to be called
  bool calls_tools_ = false;
  bool is_refused_ = false;
  std::string model_;
  std::optional<int64_t> input_tokens_;
  std::optional<int64_t> output_tokens_;
};

// Returns true for an `error` member that reports an error: some servers send an empty one beside a whole answer.
bool HasError(const boost::json::value& response);

}  // namespace millrace::backend::openai
