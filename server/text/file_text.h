// Text of a file as its author sees it.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

// Returns the text without a byte order mark at its beginning, and with \n for each \r\n: editors of some systems add
// both, which would make another prompt of the same words.
inline std::string FileText(std::string_view content) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (content.starts_with(kMark)) content.remove_prefix(kMark.size());
  std::string text;
  text.reserve(content.size());
  for (size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\r' && i + 1 < content.size() && content[i + 1] == '\n') continue;
    text.push_back(content[i]);
  }
  return text;
}

}  // namespace millrace
