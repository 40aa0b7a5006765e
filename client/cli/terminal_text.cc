// Untrusted text on a terminal: it must neither send control sequences nor disguise itself.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "client/cli/output.h"
#include "server/base/utf8.h"

namespace millrace::cli {
namespace {

struct PointRange {
  char32_t first;
  char32_t last;
};

bool IsWithin(char32_t point, std::initializer_list<PointRange> ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [point](const PointRange& range) { return point >= range.first && point <= range.last; });
}

// Decodes one code point. REQUIRES: `bytes` is valid UTF-8.
char32_t PointAt(std::string_view bytes) {
  if (bytes.size() == 1) return static_cast<unsigned char>(bytes[0]);
  char32_t point = static_cast<unsigned char>(bytes[0]) & (0x7fu >> bytes.size());
  for (const char byte : bytes.substr(1)) point = point << 6 | (static_cast<unsigned char>(byte) & 0x3fu);
  return point;
}

bool IsUnsafe(char32_t point) {
  return point < 0x20 || IsWithin(point, {{0x7f, 0x9f},  // DEL and C1, among them CSI
                                          {0xad, 0xad},
                                          {0x061c, 0x061c},
                                          {0x180e, 0x180e},  // invisible, or change the writing direction
                                          {0x200b, 0x200f},
                                          {0x2028, 0x202e},
                                          {0x2060, 0x206f},
                                          {0xfeff, 0xfeff},
                                          {0xfff9, 0xfffb},
                                          {0xe0000, 0xe0fff}});  // tags
}

size_t WidthOf(char32_t point) {
  if (IsWithin(point, {{0x0300, 0x036f},
                       {0x0483, 0x0489},
                       {0x0591, 0x05bd},
                       {0x0610, 0x061a},
                       {0x064b, 0x065f},
                       {0x1ab0, 0x1aff},
                       {0x1dc0, 0x1dff},
                       {0x20d0, 0x20ff},
                       {0xfe00, 0xfe0f},
                       {0xfe20, 0xfe2f}})) {
    return 0;  // combining
  }
  if (IsWithin(point, {{0x1100, 0x115f},
                       {0x2e80, 0x303e},
                       {0x3041, 0xa4cf},
                       {0xac00, 0xd7a3},
                       {0xf900, 0xfaff},
                       {0xfe30, 0xfe6f},
                       {0xff00, 0xff60},
                       {0xffe0, 0xffe6},
                       {0x1f300, 0x1f64f},
                       {0x1f680, 0x1f6ff},
                       {0x1f900, 0x1f9ff},
                       {0x20000, 0x3fffd}})) {
    return 2;  // wide
  }
  return 1;
}

}  // namespace

std::string Safe(std::string_view text, size_t limit) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text, i);
    std::string piece;
    if (length == 0) {
      piece = fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    } else if (const char32_t point = PointAt(text.substr(i, length)); !IsUnsafe(point)) {
      piece = text.substr(i, length);
    } else if (point == '\n' || point == '\t') {
      piece = point == '\n' ? "\\n" : "\\t";
    } else {
      piece = point < 0x100 ? fmt::format("\\x{:02x}", static_cast<uint32_t>(point))
                            : fmt::format("\\u{{{:x}}}", static_cast<uint32_t>(point));
    }
    i += std::max<size_t>(1, length);
    if (out.size() + piece.size() > limit) return out + "…";
    out += piece;
  }
  return out;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text, i);
    width += length == 0 ? 1 : WidthOf(PointAt(text.substr(i, length)));
    i += std::max<size_t>(1, length);
  }
  return width;
}

}  // namespace millrace::cli
