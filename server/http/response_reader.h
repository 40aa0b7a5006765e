// Reads one HTTP/1 answer from bytes as they arrive: a state machine without I/O. It stops at bytes that are not HTTP
// and at its limits. It skips up to 16 interim answers (1xx).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/client.h"

namespace millrace {

// Reader of one answer. One thread.
class ResponseReader {
 public:
  enum class State {
    kMore,       // the answer continues after these bytes
    kWhole,      // the answer is complete
    kTooLarge,   // the answer exceeds a limit
    kMalformed,  // the bytes are not HTTP
    kBrokenOff,  // the connection was closed before the end of the answer
  };

  struct Limits {
    size_t header_bytes = 64u << 10;
    size_t body_bytes = 8u << 20;  // without chunk headers
  };
  // Makes a reader. `to_head` says that the request was HEAD, whose answer never has a body.
  ResponseReader(Limits limits, bool to_head);
  ~ResponseReader();

  // Reads the next bytes. REQUIRES: every earlier call returned kMore.
  State Feed(std::string_view bytes);
  // Handles the other side's orderly close: kWhole if the close ends the answer, else kBrokenOff.
  State End();

  // Returns the status code; 0 until the status line is complete.
  int status() const;
  // Returns true if the answer is complete and the connection may carry another request.
  bool keeps_connection() const;
  // Moves out the headers that have been read.
  HttpHeaders TakeHeaders();
  // Moves out the part of the body that has been read.
  std::string TakeBody();
  // Returns the reason of a state other than kMore and kWhole, in words.
  const std::string& problem() const { return problem_; }

 private:
  struct Parser;
  void NewParser();
  State Fail(State state, std::string problem);

  const Limits limits_;
  const bool to_head_;
  std::unique_ptr<Parser> parser_;
  std::string pending_;   // bytes that the parser needs again, together with the next ones
  int interim_ = 0;       // interim answers so far
  bool surplus_ = false;  // bytes follow the answer, so the connection can't be used again
  std::string problem_;
};

}  // namespace millrace
