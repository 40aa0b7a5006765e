#include "backends/sdk/event_stream.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <utility>

#include "server/base/utf8.h"

namespace millrace::backend {
namespace {

constexpr size_t kPreludeBytes = 12;  // total length, length of the headers, checksum of both
constexpr size_t kCrcBytes = 4;

Status Bad(std::string_view why) { return MakeError(Reason::kBadResponse, fmt::format("the event stream {}", why)); }

uint32_t Crc(std::string_view bytes) {
  return static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

// Reader of big-endian values. A value beyond the end sets `failed`.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  bool failed() const { return failed_; }

  std::string_view Take(size_t count) {
    if (count > bytes_.size()) {
      failed_ = true;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  uint64_t Unsigned(size_t count) {
    uint64_t number = 0;
    for (const char byte : Take(count)) number = number << 8 | static_cast<unsigned char>(byte);
    return number;
  }
  int64_t Signed(size_t count) {
    const size_t shift = 64 - 8 * count;
    return static_cast<int64_t>(Unsigned(count) << shift) >> shift;
  }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

Status ReadValue(Cursor& cursor, EventHeader& header) {
  const uint64_t type = cursor.Unsigned(1);
  if (type > static_cast<uint64_t>(EventHeader::Type::kUuid)) {
    return Bad(fmt::format("has a header of the unknown type {}", type));
  }
  header.type = static_cast<EventHeader::Type>(type);
  switch (header.type) {
    case EventHeader::Type::kTrue:
    case EventHeader::Type::kFalse:
      break;
    case EventHeader::Type::kByte:
      header.number = cursor.Signed(1);
      break;
    case EventHeader::Type::kShort:
      header.number = cursor.Signed(2);
      break;
    case EventHeader::Type::kInteger:
      header.number = cursor.Signed(4);
      break;
    case EventHeader::Type::kLong:
    case EventHeader::Type::kTimestamp:
      header.number = cursor.Signed(8);
      break;
    case EventHeader::Type::kBytes:
    case EventHeader::Type::kString:
      header.bytes = cursor.Take(cursor.Unsigned(2));
      break;
    case EventHeader::Type::kUuid:
      header.bytes = cursor.Take(16);
      break;
  }
  if (header.type == EventHeader::Type::kString && !IsUtf8(header.bytes)) {
    return Bad("has a header whose value is not UTF-8");
  }
  return absl::OkStatus();
}

StatusOr<std::vector<EventHeader>> ReadHeaders(std::string_view bytes) {
  std::vector<EventHeader> headers;
  Cursor cursor(bytes);
  while (!cursor.at_end()) {
    EventHeader header;
    const size_t length = cursor.Unsigned(1);
    if (length == 0) return Bad("has a header without a name");
    header.name = cursor.Take(length);
    if (!IsUtf8(header.name)) return Bad("has a header whose name is not UTF-8");
    if (!cursor.failed()) MR_RETURN_IF_ERROR(ReadValue(cursor, header));
    if (cursor.failed()) return Bad("has a header that is longer than the headers' part of its message");
    const auto is_same = [&](const EventHeader& other) { return other.name == header.name; };
    if (std::any_of(headers.begin(), headers.end(), is_same)) {
      return Bad(fmt::format("has the header `{}` twice in one message", Excerpt(header.name)));
    }
    headers.push_back(std::move(header));
  }
  return headers;
}

}  // namespace

std::string_view EventMessage::TextOf(std::string_view name) const {
  for (const EventHeader& header : headers) {
    if (header.type == EventHeader::Type::kString && header.name == name) return header.bytes;
  }
  return {};
}

void EventStreamReader::Add(std::string_view bytes) {
  // All messages before `begin_` have been returned. Bytes move once a message at most.
  if (begin_ > 0) buffer_.erase(0, std::exchange(begin_, 0));
  buffer_ += bytes;
}

StatusOr<std::optional<EventMessage>> EventStreamReader::Next() {
  MR_RETURN_IF_ERROR(error_);
  StatusOr<std::optional<EventMessage>> message = Read();
  if (!message.ok()) error_ = message.status();
  return message;
}

StatusOr<std::optional<EventMessage>> EventStreamReader::Read() {
  const std::string_view bytes = std::string_view(buffer_).substr(begin_);
  if (total_length_ == 0) {
    if (bytes.size() < kPreludeBytes) return std::nullopt;
    Cursor prelude(bytes);
    const size_t total = prelude.Unsigned(4);
    const size_t headers = prelude.Unsigned(4);
    // The lengths are used only if their checksum is right; otherwise a flipped bit could ask for megabytes.
    if (prelude.Unsigned(4) != Crc(bytes.substr(0, 8))) return Bad("has a wrong checksum of lengths");
    if (headers > kEventHeadersBytesMax) {
      return Bad(fmt::format("has {} bytes of headers; at most {}", headers, kEventHeadersBytesMax));
    }
    if (total < kPreludeBytes + headers + kCrcBytes) return Bad("has a message that is shorter than its headers");
    const size_t payload = total - kPreludeBytes - headers - kCrcBytes;
    if (payload > kEventPayloadBytesMax) {
      return Bad(fmt::format("has a message of {} bytes; at most {}", payload, kEventPayloadBytesMax));
    }
    total_length_ = total;
    headers_length_ = headers;
  }
  if (bytes.size() < total_length_) return std::nullopt;
  const std::string_view checked = bytes.substr(0, total_length_ - kCrcBytes);
  if (Cursor(bytes.substr(checked.size())).Unsigned(kCrcBytes) != Crc(checked)) {
    return Bad("has a message with a wrong checksum");
  }
  EventMessage message;
  MR_ASSIGN_OR_RETURN(message.headers, ReadHeaders(checked.substr(kPreludeBytes, headers_length_)));
  message.payload = checked.substr(kPreludeBytes + headers_length_);
  begin_ += total_length_;
  total_length_ = 0;
  return message;
}

Status EventStreamReader::End() const {
  MR_RETURN_IF_ERROR(error_);
  if (begin_ < buffer_.size()) return Bad("ends inside a message");
  return absl::OkStatus();
}

}  // namespace millrace::backend
