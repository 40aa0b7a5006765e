// Reader of server-sent events (the `text/event-stream` of the HTML standard), whole or in pieces of any size.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace::backend {

struct SseEvent {
  std::string type;  // empty: `message`
  std::string data;  // its `data` lines, joined with LF
};

// Lines end in LF, CR or CRLF. A byte order mark at the beginning, comments and unknown fields are left out.
class SseReader {
 public:
  // Default of `event_bytes_max`: as large as the largest response that is accepted by default.
  static constexpr size_t kEventBytesMax = 8u << 20;

  // `event_bytes_max` limits the bytes of one event and of one line.
  explicit SseReader(size_t event_bytes_max = kEventBytesMax) : event_bytes_max_(event_bytes_max) {}

  // Reads the next bytes of a stream and appends the events that they complete. BAD_RESPONSE if an event is too large;
  // the reader must not be used again then.
  Status Read(std::string_view bytes, std::vector<SseEvent>& events);

  // Reads the end of the stream. Returns the event that no blank line completed, of which the last bytes may be
  // missing.
  std::optional<SseEvent> End();

 private:
  Status Extend(std::string_view bytes);
  void EndLine(std::vector<SseEvent>& events);

  size_t event_bytes_max_;
  bool is_first_line_ = true;
  bool follows_cr_ = false;  // an LF that comes next belongs to the line end before it
  std::string line_;
  bool has_data_ = false;
  SseEvent event_;
};

}  // namespace millrace::backend
