// Page tokens: where a list goes on, bound to the query that it is of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// `position`: any bytes. `query`: what must be the same when the next page is asked for.
std::string MakePageToken(std::string_view query, std::string_view position);
// The position; empty for an empty token. INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
StatusOr<std::string> ReadPageToken(std::string_view query, std::string_view token);

// The size of a page: `fallback` for 0, at most 1,000. INVALID_ARGUMENT (INVALID_FIELD) where it is negative.
StatusOr<size_t> PageSize(int32_t page_size, size_t fallback);

}  // namespace millrace
