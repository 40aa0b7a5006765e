// Reading of responses: the lines of a chat, and the body of embeddings.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/reasoning.h"

namespace millrace::backend::ollama {

// Facts of a question that its answer is checked against.
struct Asked {
  std::string model;
  int64_t num_ctx = 0;          // as it was sent
  int64_t tokens_at_least = 0;  // of the prompt
};

// Reads the lines of a response with status 2xx: any number of pieces, then one with `done: true`, which alone makes
// them an answer. A response that was not streamed is the last line alone.
class ChatReader {
 public:
  ChatReader(Asked asked, int status) : asked_(std::move(asked)), status_(status) {}

  // Reads one line, and appends its text to `delta`. Returns the failure that ends the attempt, if any.
  std::optional<Failure> Read(std::string_view line, std::string& delta);

  // Returns what all lines mean: Done, or Fail.
  Action End();

 private:
  Failure ReadError(const boost::json::value& line, const boost::json::value& error) const;
  std::optional<Failure> ReadMessage(const boost::json::value& line, std::string& delta);
  void ReadEnd(const boost::json::value& line, std::string& delta);

  const Asked asked_;
  const int status_;
  ReasoningFilter reasoning_;  // for models whose thoughts the server does not know
  Answer answer_;
  bool is_done_ = false;
  std::string done_reason_;
};

// Returns what a response to /api/embed means. `texts` is the number of texts that were sent.
Action ReadEmbeddings(const Asked& asked, size_t texts, std::optional<int32_t> dimensions, const Response& response);

}  // namespace millrace::backend::ollama
