#include "server/http/chunked_body.h"

#include <algorithm>
#include <charconv>

namespace millrace {

ChunkedBody::State ChunkedBody::Feed(std::string_view& bytes, std::string& content) {
  while (!bytes.empty()) {
    if (left_ > 0) {
      const auto taken = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      content.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      left_ -= taken;
      continue;
    }
    const size_t end = bytes.find('\n');
    const size_t taken = end == std::string_view::npos ? bytes.size() : end + 1;
    if (line_.size() + trailer_bytes_ + taken > header_bytes_max_) return State::kTooLarge;
    line_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    if (end == std::string_view::npos) return State::kMore;
    if (!line_.ends_with("\r\n")) return State::kMalformed;
    line_.resize(line_.size() - 2);
    if (const State state = ReadLine(); state != State::kMore) return state;
    line_.clear();
  }
  return State::kMore;
}

ChunkedBody::State ChunkedBody::ReadLine() {
  switch (part_) {
    case Part::kEndOfChunk:
      part_ = Part::kSize;
      return line_.empty() ? State::kMore : State::kMalformed;
    case Part::kTrailer:
      trailer_bytes_ += line_.size();
      return line_.empty() ? State::kWhole : State::kMore;
    case Part::kSize:
      break;
  }
  const char* const begin = line_.data();
  const char* const end = begin + line_.size();
  const auto parsed = std::from_chars(begin, end, left_, 16);
  const char* const rest = std::find_if(parsed.ptr, end, [](char c) { return c != ' ' && c != '\t'; });
  if (parsed.ec != std::errc() || (rest != end && *rest != ';')) return State::kMalformed;
  part_ = left_ > 0 ? Part::kEndOfChunk : Part::kTrailer;
  return State::kMore;
}

}  // namespace millrace
