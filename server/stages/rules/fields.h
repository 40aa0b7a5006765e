// Writing to the fields of an item, by the paths that FindPath (server/base/json.h) reads.
#pragma once

#include <string_view>

#include <boost/json/value.hpp>

#include "server/base/status.h"

namespace millrace {

// Sets the value at `path` of `item`, an object; objects on the way are made where they are absent or null.
// FAILED_PRECONDITION (BAD_ITEM) where something on the way is neither an object nor an element of a list.
Status SetPath(boost::json::value& item, std::string_view path, boost::json::value value);

// A text as a value: Boost.JSON has a string view of its own.
boost::json::string Text(std::string_view text);

// Whether SetPath could ever take it: names that are not empty, joined by dots.
bool IsPath(std::string_view path);

}  // namespace millrace
