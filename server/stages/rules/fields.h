// Writes to the fields of an item, by the paths of FindPath (server/base/json.h).
#pragma once

#include <string_view>

#include <boost/json/value.hpp>

#include "server/base/status.h"

namespace millrace::rules {

// Sets the value at `path` of `item`, an object. Makes objects on the way that are absent or null.
// INVALID_ARGUMENT (BAD_ITEM) if a value on the way is neither an object nor an element of a list.
Status SetPath(boost::json::value& item, std::string_view path, boost::json::value value);

// Returns a text as a JSON string: Boost.JSON's string view is another type.
boost::json::string Text(std::string_view text);

// Returns true for a path that SetPath can take: names that are not empty, joined by dots.
bool IsPath(std::string_view path);

}  // namespace millrace::rules
