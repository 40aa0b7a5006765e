// JSON in providers' answers. It is read more leniently than our own (server/base/json.h), because an answer may
// already be paid for: an odd count beside it must not spoil it.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/json.h"
#include "server/base/status.h"

namespace millrace::backend {

// Parses one JSON value of a nesting of at most kOutsideDepthMax. A byte order mark before it is left out, a surrogate
// without its other half (`\ud83d`) becomes U+FFFD, the last of several members of one name counts, and 1e400 is
// infinite. BAD_RESPONSE if the text is not JSON or not UTF-8.
StatusOr<json::value> ParseReply(std::string_view text);

// Returns the text at a path (FindPath); empty if there is none.
std::string TextAt(const json::value& value, std::string_view path);

// Returns the count at a path: a whole number from 0 to a million millions. Providers have sent none, negative ones and
// 1e18, which are not counts.
std::optional<int64_t> CountAt(const json::value& value, std::string_view path);

// Returns true for null, false, 0, "", [] and {}, which some servers put into a member that does not apply.
bool IsNothing(const json::value& value);

}  // namespace millrace::backend
