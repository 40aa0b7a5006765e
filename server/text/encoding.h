// Detection of a text file's encoding by its first bytes: accepts UTF-8 with or without a byte order mark.
#pragma once

#include <cstddef>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// Number of bytes that the detection needs, if the file has as many.
inline constexpr size_t kEncodingBytes = 4;

// Returns the offset at which the text begins: after a byte order mark of UTF-8, else 0. INVALID_FIELD, with the
// command that converts the file, if it is UTF-16 or UTF-32. REQUIRES: `bytes` are the file's first kEncodingBytes, or
// all of it.
StatusOr<size_t> BeginningOfText(std::string_view bytes);

// Message for a text that is not UTF-8.
inline constexpr std::string_view kNotUtf8 =
    "the text is not UTF-8; if the file is Latin-1, convert it with `iconv -f LATIN1 -t UTF-8`";

}  // namespace millrace
