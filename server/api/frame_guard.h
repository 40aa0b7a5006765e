// Reads the frames of an HTTP/2 client as they pass, only their nine bytes of head, and says when the connection must
// be cut. gRPC 1.51 buffers a header that never ends at a cost that grows by the square of its length (CVE-2023-33953),
// and takes any number of streams that are reset at once (CVE-2023-44487); no setting of it stops either, and a count
// of bytes alone can't tell them from large messages sent side by side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/base/clock.h"

namespace millrace::api {

class FrameGuard {
 public:
  // Headers of one request, as sent. gRPC refuses a request over 8 KiB by itself; this is what it gets to see at most.
  static constexpr size_t kHeaderBytesMax = 32 << 10;
  // Frames that carry no work (RST_STREAM, SETTINGS, PRIORITY, CONTINUATION, unknown ones): so many at once, and so
  // many a second from then on. A client that cancels all of its hundred streams ten times a second stays below.
  static constexpr int kIdleFramesMax = 2000;
  static constexpr int kIdleFramesPerSecond = 1000;
  // As gRPC tells its clients (SETTINGS_MAX_FRAME_SIZE is at most that); a longer frame is no mistake of a client of
  // ours.
  static constexpr size_t kFrameBytesMax = (4 << 20) + (16 << 10);

  // Requests before the client has acknowledged our settings: only then does gRPC hold it to its limit of streams at
  // once.
  static constexpr int kEarlyRequestsMax = 1000;

  // Takes the next bytes of the client. What is wrong with them, or nullptr.
  const char* Feed(std::string_view bytes, TimePoint now);

 private:
  const char* BeginFrame(TimePoint now);
  bool SpendIdleFrame(TimePoint now);

  size_t preface_ = 0;  // bytes of it that have come
  std::array<uint8_t, 9> head_{};
  size_t head_bytes_ = 0;    // of the frame's head that have come
  size_t payload_left_ = 0;  // of the frame's payload that have not
  bool in_headers_ = false;  // CONTINUATION must follow
  size_t header_bytes_ = 0;  // of the request's headers
  int early_requests_ = 0;
  bool acknowledged_ = false;  // our settings
  double idle_frames_ = kIdleFramesMax;
  TimePoint refilled_{};
};

}  // namespace millrace::api
