// Which bytes a text file begins with: UTF-8 with or without a byte order mark; UTF-16 is refused with what helps.
#pragma once

#include <cstddef>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// So many bytes, or the whole file, are needed to tell.
inline constexpr size_t kEncodingBytes = 4;

// Where the text begins: beyond a byte order mark of UTF-8. INVALID_ARGUMENT: it is UTF-16 or UTF-32.
StatusOr<size_t> BeginningOfText(std::string_view bytes);

inline constexpr std::string_view kNotUtf8 =
    "the text is not UTF-8; if the file is Latin-1, convert it with `iconv -f LATIN1 -t UTF-8`";

}  // namespace millrace
