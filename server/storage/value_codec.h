// The frame of every value in the store: {format version, codec, key id, checksum} and the payload. The checksum covers
// the key too, so that a value that turns up under another key is seen. docs/formats.md has the bytes.
#pragma once

#include <string>
#include <string_view>

#include "server/base/status.h"

namespace google::protobuf {
class MessageLite;
}

namespace millrace {

// Frames a payload; compresses it (zstd) if it is over 4 KiB and that saves a tenth.
std::string EncodeValue(std::string_view key, std::string_view payload);
std::string EncodeValue(std::string_view key, const google::protobuf::MessageLite& message);

// Returns the payload. DATA_LOSS (STORE_CORRUPT) if the frame or its checksum is wrong, FAILED_PRECONDITION
// (STORE_VERSION) if a newer release wrote it.
StatusOr<std::string> DecodeValue(std::string_view key, std::string_view value);
// Returns the bytes that a value takes once it is decoded, from its frame alone: a megabyte of blanks is stored in a few
// bytes. A value without such a frame counts as it is.
size_t PlainSize(std::string_view value);
// Decodes the payload into a message.
Status DecodeValue(std::string_view key, std::string_view value, google::protobuf::MessageLite& message);

// Returns the payload as a message: `Decode<RunRecord>(key, value)`.
template <typename Message>
StatusOr<Message> Decode(std::string_view key, std::string_view value) {
  Message message;
  if (Status status = DecodeValue(key, value, message); !status.ok()) return status;
  return message;
}

}  // namespace millrace
