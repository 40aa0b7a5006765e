#include "backends/sdk/sse.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::backend {

Status SseReader::Read(std::string_view bytes, std::vector<SseEvent>& events) {
  while (!bytes.empty()) {
    if (std::exchange(follows_cr_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const size_t end = bytes.find_first_of("\r\n");
    MR_RETURN_IF_ERROR(Extend(bytes.substr(0, end)));
    if (end == std::string_view::npos) break;
    follows_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    EndLine(events);
  }
  return absl::OkStatus();
}

std::optional<SseEvent> SseReader::End() {
  std::vector<SseEvent> events;
  if (!line_.empty()) EndLine(events);
  EndLine(events);
  if (events.empty()) return std::nullopt;
  return std::move(events.front());
}

Status SseReader::Extend(std::string_view bytes) {
  if (line_.size() + event_.data.size() + bytes.size() > event_bytes_max_) {
    return MakeError(Reason::kBadResponse,
                     fmt::format("the stream has an event of more than {} bytes", event_bytes_max_));
  }
  line_ += bytes;
  return absl::OkStatus();
}

void SseReader::EndLine(std::vector<SseEvent>& events) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  std::string_view line = line_;
  if (std::exchange(is_first_line_, false) && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) {
    if (has_data_) events.push_back(std::move(event_));
    has_data_ = false;
    event_ = {};
    line_.clear();
    return;
  }
  const size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (field == "event") {
    event_.type = value;
  }
  line_.clear();
}

}  // namespace millrace::backend
