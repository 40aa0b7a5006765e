// Incremental decoder of `application/vnd.amazon.eventstream`: a sequence of messages with typed headers, a payload and
// two checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace::backend {

// Limits of one message, those of Amazon's own decoders.
inline constexpr size_t kEventHeadersBytesMax = 128u << 10;
inline constexpr size_t kEventPayloadBytesMax = 24u << 20;

// Header of a message. Values are numbers of the format.
struct EventHeader {
  enum class Type : uint8_t {
    kTrue = 0,
    kFalse = 1,
    kByte = 2,
    kShort = 3,
    kInteger = 4,
    kLong = 5,
    kBytes = 6,
    kString = 7,
    kTimestamp = 8,  // milliseconds since 1970
    kUuid = 9,
  };
  std::string name;
  Type type = Type::kTrue;
  int64_t number = 0;  // of kByte to kLong and kTimestamp
  std::string bytes;   // of kBytes, kUuid (16 bytes) and kString (UTF-8)
};

struct EventMessage {
  std::vector<EventHeader> headers;
  std::string payload;

  // Returns the value of a text header; empty if the message has none of this name.
  std::string_view TextOf(std::string_view name) const;
};

// Reads messages from bytes that arrive in pieces. Keeps at most one message and the piece after it in memory. After an
// error the position in the stream is lost: every later call returns the error.
class EventStreamReader {
 public:
  void Add(std::string_view bytes);

  // Returns the next message; nullopt if more bytes are needed. BAD_RESPONSE if the bytes violate the format: a wrong
  // checksum, lengths that exceed the limits or do not fit each other, or headers that can't be read.
  StatusOr<std::optional<EventMessage>> Next();

  // Returns OK if the stream may end here; BAD_RESPONSE inside a message or after an error.
  Status End() const;

 private:
  StatusOr<std::optional<EventMessage>> Read();

  std::string buffer_;
  size_t begin_ = 0;         // offset of the next message in the buffer
  size_t total_length_ = 0;  // of the next message; 0 until its prelude is checked
  size_t headers_length_ = 0;
  Status error_;
};

}  // namespace millrace::backend
