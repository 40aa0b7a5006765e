// Bytes that the loopback server of OpenAI's chat completions answers with: whole answers, streams, and faults.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

// An answer to a request.
struct AnswerToMake {
  int64_t number = 0;       // of the request
  std::string_view digest;  // of the request's body: equal questions have equal answers
  int text_bytes = 0;       // of the answer's text
  std::string_view fault;   // empty: none
};

// Returns a whole response, and its HTTP status in `status`. The fault `cut` ends it in the middle.
std::string WholeAnswer(const AnswerToMake& answer, int& status);

// Returns the head of a streamed response and its first event.
std::string StreamBegin();
// Returns the rest of a streamed response; without its end if there is a fault.
std::string StreamRest(const AnswerToMake& answer);

// Returns the head of a response of unknown length.
std::string ChunkedHead(std::string_view content_type);
// Returns bytes as a chunk of such a response.
std::string Chunk(std::string_view bytes);

}  // namespace millrace
