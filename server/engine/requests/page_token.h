// Page tokens: the position at which a list continues, bound to its query.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// Returns a token for `position`, which may be any bytes. `query`: a text that must be equal when the next page is
// read.
std::string MakePageToken(std::string_view query, std::string_view position);
// Returns the position; empty for an empty token. INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
StatusOr<std::string> ReadPageToken(std::string_view query, std::string_view token);

// Returns the size of a page: `fallback` for 0, at most 1,000. INVALID_ARGUMENT (INVALID_FIELD) if it is negative.
StatusOr<size_t> PageSize(int32_t page_size, size_t fallback);

}  // namespace millrace
