// Decoder of a body in chunks (RFC 9112, section 7.1), for response_reader.cc. Boost.Beast's is not used because it
// refuses blanks after a chunk's size, which servers send that write the size into a field of fixed width. Extensions
// and trailers are skipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace {

class ChunkedBody {
 public:
  enum class State {
    kMore,       // the body continues after these bytes
    kWhole,      // the body is complete
    kMalformed,  // the bytes are not a chunked body
    kTooLarge,   // a chunk's header, or all trailers together, exceed the limit
  };
  explicit ChunkedBody(size_t header_bytes_max) : header_bytes_max_(header_bytes_max) {}

  // Removes from `bytes` those that belong to the body, and appends the content of chunks to `content`. REQUIRES: every
  // earlier call returned kMore.
  State Feed(std::string_view& bytes, std::string& content);

 private:
  enum class Part { kSize, kEndOfChunk, kTrailer };
  State ReadLine();

  const size_t header_bytes_max_;
  Part part_ = Part::kSize;  // the line that follows the bytes of the chunk
  uint64_t left_ = 0;        // bytes of the chunk
  std::string line_;         // its part that has come
  size_t trailer_bytes_ = 0;
};

}  // namespace millrace
