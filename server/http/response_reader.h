// Reads one HTTP/1 answer from bytes as they arrive: a state machine without I/O. It stops at bytes that are not HTTP
// and at its limits. It skips up to 16 interim answers (1xx), and decompresses a body that was compressed although the
// request refused that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/chunked_body.h"
#include "server/http/client.h"
#include "server/http/inflater.h"

namespace millrace {

// Reader of one answer. One thread.
class ResponseReader {
 public:
  enum class State {
    kMore,       // the answer continues after these bytes
    kWhole,      // the answer is complete
    kTooLarge,   // the answer exceeds a limit
    kMalformed,  // the bytes are not HTTP, or have an encoding that is not known
    kBrokenOff,  // the connection was closed before the end of the answer
  };

  struct Limits {
    size_t header_bytes = 64u << 10;
    size_t body_bytes = 8u << 20;  // decoded: without chunk headers, decompressed
  };
  // Makes a reader. `to_head` says that the request was HEAD, whose answer never has a body.
  ResponseReader(Limits limits, bool to_head);
  ~ResponseReader();

  // Reads the next bytes. REQUIRES: every earlier call returned kMore.
  State Feed(std::string_view bytes);
  // Handles the other side's orderly close: kWhole if the close ends the answer, else kBrokenOff. REQUIRES: as for
  // Feed.
  State End();

  // Returns true if all headers have been read.
  bool has_head() const { return has_head_; }
  // Returns the status code; 0 until the status line is complete.
  int status() const;
  // Returns true if the answer is complete and the connection may carry another request.
  bool keeps_connection() const { return is_whole_ && is_kept_alive_; }
  // Moves out the headers.
  HttpHeaders TakeHeaders() { return std::move(headers_); }
  // Moves out the part of the body that was read since the last call.
  std::string TakeBody() { return std::exchange(body_, {}); }
  // Returns the reason of a state other than kMore and kWhole, in words.
  const std::string& problem() const { return problem_; }

 private:
  enum class Framing { kNone, kLength, kChunked, kUntilClose };
  struct Parser;

  void NewParser();
  State ReadHead();
  // Takes the headers out of the parser, and finds out how the body is framed and encoded.
  State BeginBody();
  State ReadBody(std::string_view bytes);
  // Decodes bytes of the body without their framing.
  State Append(std::string_view content);
  State Finish();
  State Fail(State state, std::string problem);

  const Limits limits_;
  const bool to_head_;
  std::unique_ptr<Parser> parser_;  // of the head; null afterwards
  std::string pending_;             // bytes of the head that the parser needs again, together with the next ones
  int interim_ = 0;                 // interim answers so far
  bool has_head_ = false;
  int status_ = 0;
  HttpHeaders headers_;
  bool is_kept_alive_ = false;
  bool is_whole_ = false;
  Framing framing_ = Framing::kNone;
  uint64_t left_ = 0;  // bytes of the body, for kLength
  std::optional<ChunkedBody> chunks_;
  std::unique_ptr<Inflater> inflater_;  // null: the body is not compressed
  std::string body_;
  size_t body_bytes_ = 0;  // of the whole body so far
  std::string problem_;
};

}  // namespace millrace
