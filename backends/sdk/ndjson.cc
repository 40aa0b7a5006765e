#include "backends/sdk/ndjson.h"

namespace millrace::backend {
namespace {

bool IsBlank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

void NdjsonReader::Add(std::string_view bytes) {
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  buffer_.append(bytes);
}

std::optional<std::string_view> NdjsonReader::Next() {
  while (!is_too_long_) {
    const size_t end = buffer_.find('\n', scanned_);
    const bool is_whole = end != std::string::npos;
    scanned_ = is_whole ? end : buffer_.size();
    is_too_long_ = scanned_ - begin_ > line_bytes_max_;
    if (!is_whole || is_too_long_) break;
    std::string_view line = std::string_view(buffer_).substr(begin_, end - begin_);
    begin_ = scanned_ = end + 1;
    if (IsBlank(line)) continue;
    if (line.back() == '\r') line.remove_suffix(1);
    return line;
  }
  return std::nullopt;
}

std::optional<std::string_view> NdjsonReader::Rest() const {
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  if (IsBlank(rest)) return std::nullopt;
  return rest;
}

}  // namespace millrace::backend
