// The UTF-8 that the project accepts: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
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
  size_t at = 0;
  while (at < text.size()) {
    // Most text is ASCII, of which eight bytes are checked at a time.
    uint64_t eight = 0;
    if (at + sizeof eight <= text.size()) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const size_t length = Utf8Length(text, at);
    if (length == 0) break;
    at += length;
  }
  return at;
}

inline bool IsUtf8(std::string_view text) { return Utf8End(text) == text.size(); }

// The functions below find the borders of characters by their first bytes alone. They accept any text: bytes that
// continue no character belong to the character before them.

// Returns true if a character begins with this byte.
inline bool BeginsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

// Returns the offset after the character at `at`; beyond the text if `at` is its end, so that a search that skips empty
// matches ends.
inline size_t NextCharacter(std::string_view text, size_t at) {
  do {
    ++at;
  } while (at < text.size() && !BeginsCharacter(text[at]));
  return at;
}

// Returns the offset of the character that ends before `at`. REQUIRES: 0 < at <= text.size().
inline size_t PreviousCharacter(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && !BeginsCharacter(text[at]));
  return at;
}

// Returns the longest beginning of `text` that has at most `bytes_max` bytes and does not end inside a character.
inline std::string_view Utf8Prefix(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && !BeginsCharacter(text[end])) --end;
  return text.substr(0, end);
}

}  // namespace millrace
