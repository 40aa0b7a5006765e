// The UTF-8 that the project accepts: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace {

// Returns the number of bytes of the character that begins at `text[at]`; 0 if none begins there. REQUIRES: at <
// text.size().
inline size_t Utf8Length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf5 ? 0 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = byte(at + 1);
  if (first == 0xe0 && second < 0xa0) return 0;
  if (first == 0xed && second >= 0xa0) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second >= 0x90) return 0;
  return length;
}

// Returns the offset of the first byte that is not part of a character; the size of the text if it is UTF-8.
inline size_t Utf8End(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = Utf8Length(text, i);
    if (length == 0) break;
    i += length;
  }
  return i;
}

inline bool IsUtf8(std::string_view text) { return Utf8End(text) == text.size(); }

}  // namespace millrace
