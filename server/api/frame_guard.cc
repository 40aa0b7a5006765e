#include "server/api/frame_guard.h"

#include <algorithm>

namespace millrace::api {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of RFC 9113.
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kGoaway = 7;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kAcknowledge = 1;
constexpr uint8_t kEndHeaders = 4;

}  // namespace

const char* FrameGuard::Feed(std::string_view bytes, TimePoint now) {
  while (!bytes.empty()) {
    if (preface_ < kPreface.size()) {
      const size_t count = std::min(bytes.size(), kPreface.size() - preface_);
      if (bytes.substr(0, count) != kPreface.substr(preface_, count)) return "the client does not speak HTTP/2";
      preface_ += count;
      bytes.remove_prefix(count);
    } else if (payload_left_ > 0) {
      const size_t count = std::min(bytes.size(), payload_left_);
      payload_left_ -= count;
      bytes.remove_prefix(count);
    } else {
      head_[head_bytes_++] = static_cast<uint8_t>(bytes.front());
      bytes.remove_prefix(1);
      if (head_bytes_ < head_.size()) continue;
      head_bytes_ = 0;
      if (const char* fault = BeginFrame(now)) return fault;
    }
  }
  return nullptr;
}

const char* FrameGuard::BeginFrame(TimePoint now) {
  payload_left_ = static_cast<size_t>(head_[0]) << 16 | static_cast<size_t>(head_[1]) << 8 | head_[2];
  if (payload_left_ > kFrameBytesMax) return "a frame is too large";
  const uint8_t type = head_[3];
  const bool ends_headers = (head_[4] & kEndHeaders) != 0;
  switch (type) {
    case kHeaders:
      header_bytes_ = payload_left_;
      in_headers_ = !ends_headers;
      if (!acknowledged_ && ++early_requests_ > kEarlyRequestsMax)
        return "the client does not acknowledge the settings";
      break;
    case kContinuation:
      if (!in_headers_) return "a CONTINUATION frame without headers before it";
      header_bytes_ += payload_left_;
      in_headers_ = !ends_headers;
      if (!SpendIdleFrame(now)) return "too many frames without work";
      break;
    case kData:
    case kPing:  // gRPC counts these itself
    case kGoaway:
    case kWindowUpdate:
      break;
    case kSettings:
      acknowledged_ |= (head_[4] & kAcknowledge) != 0;
      [[fallthrough]];
    default:
      if (!SpendIdleFrame(now)) return "too many frames without work";
  }
  if (header_bytes_ > kHeaderBytesMax) return "the headers are too large";
  return nullptr;
}

bool FrameGuard::SpendIdleFrame(TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - refilled_).count();
  idle_frames_ = std::min<double>(kIdleFramesMax, idle_frames_ + seconds * kIdleFramesPerSecond);
  refilled_ = now;
  idle_frames_ -= 1;
  return idle_frames_ >= 0;
}

}  // namespace millrace::api
