// Reads one HTTP/1 answer out of bytes as they come: a state machine without I/O. What is no HTTP, or passes a limit,
// ends it; interim answers (1xx) are passed over, but not without end.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/client.h"

namespace millrace {

class ResponseReader {
 public:
  enum class State { kMore, kWhole, kTooLarge, kMalformed, kBrokenOff };

  struct Limits {
    size_t header_bytes = 64u << 10;
    size_t body_bytes = 8u << 20;  // decoded
  };
  // `to_head`: the request was HEAD, whose answer has no body whatever its headers say.
  ResponseReader(Limits limits, bool to_head);
  ~ResponseReader();

  // Takes bytes. Not called again after it has said other than kMore.
  State Feed(std::string_view bytes);
  // The connection was closed in order: kWhole where that is how the answer ends, else kBrokenOff.
  State End();

  // 0 until the whole status line is there.
  int status() const;
  // Of a whole answer: the connection may carry another request.
  bool keeps_connection() const;
  // What came.
  HttpHeaders TakeHeaders();
  std::string TakeBody();
  // What is wrong, where something is.
  const std::string& problem() const { return problem_; }

 private:
  struct Parser;
  void NewParser();
  State Fail(State state, std::string problem);

  const Limits limits_;
  const bool to_head_;
  std::unique_ptr<Parser> parser_;
  std::string pending_;  // bytes that the parser could not take yet
  int interim_ = 0;
  bool surplus_ = false;
  std::string problem_;
};

}  // namespace millrace
