// Reads the nine-byte heads of an HTTP/2 client's frames as they pass, and says when the connection must be cut. gRPC
// 1.51 buffers a header that never ends at a cost quadratic in its length (CVE-2023-33953), and accepts any number of
// streams that are reset at once (CVE-2023-44487). None of its settings stops either, and a count of bytes alone can't
// tell them from large messages sent in parallel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/base/clock.h"

namespace millrace::api {

class FrameGuard {
 public:
  // Bytes of the headers of one request, as sent: the most that reaches gRPC, which refuses more than 8 KiB by itself.
  static constexpr size_t kHeaderBytesMax = 32 << 10;
  // Limit of frames that carry no work (RST_STREAM, SETTINGS, PRIORITY, CONTINUATION, unknown ones): the burst, and the
  // rate that refills it. A client that cancels all of its hundred streams ten times a second stays below.
  static constexpr int kIdleFramesMax = 2000;
  static constexpr int kIdleFramesPerSecond = 1000;
  // Bytes of one frame. gRPC tells its clients a SETTINGS_MAX_FRAME_SIZE of at most this, so that no honest client
  // sends a longer one.
  static constexpr size_t kFrameBytesMax = (4 << 20) + (16 << 10);

  // Requests before the client has acknowledged our settings. gRPC enforces its limit of concurrent streams only
  // afterwards.
  static constexpr int kEarlyRequestsMax = 1000;

  // Takes the next bytes of the client. Returns why the connection must be cut, or nullptr.
  const char* Feed(std::string_view bytes, TimePoint now);

 private:
  const char* BeginFrame(TimePoint now);
  bool SpendIdleFrame(TimePoint now);

  size_t preface_ = 0;  // bytes of the connection preface received
  std::array<uint8_t, 9> head_{};
  size_t head_bytes_ = 0;    // bytes of the frame's head received
  size_t payload_left_ = 0;  // bytes of the frame's payload still to come
  bool in_headers_ = false;  // a CONTINUATION must follow
  size_t header_bytes_ = 0;  // bytes of the request's headers
  int early_requests_ = 0;
  bool acknowledged_ = false;  // the client has acknowledged our settings
  double idle_frames_ = kIdleFramesMax;
  TimePoint refilled_{};
};

}  // namespace millrace::api
