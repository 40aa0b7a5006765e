#include "server/text/encoding.h"

namespace millrace {

StatusOr<size_t> BeginningOfText(std::string_view bytes) {
  const auto begins = [&](std::string_view mark) { return bytes.substr(0, mark.size()) == mark; };
  if (begins("\xef\xbb\xbf")) return size_t{3};
  using std::string_view_literals::operator""sv;
  // UTF-16 and UTF-32 without a mark have a NUL beside the first character, which UTF-8 text never has.
  const bool nul_beside = bytes.size() >= 2 && ((bytes[0] == '\0') != (bytes[1] == '\0'));
  if (begins("\xff\xfe"sv) || begins("\xfe\xff"sv) || begins("\0\0\xfe\xff"sv) || nul_beside) {
    return MakeError(Reason::kInvalidField,
                     "the file is UTF-16 or UTF-32, not UTF-8; convert it with `iconv -f UTF-16 -t UTF-8`");
  }
  return size_t{0};
}

}  // namespace millrace
