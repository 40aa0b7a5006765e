// Values of items converted to a type: columns of a CSV file, and the rule `convert`.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "millrace/v1/convert.pb.h"
#include "server/base/status.h"

namespace millrace {

// Returns the value as the type. Null and blank text become null, whatever the type. `date_format`: format of a date
// (ParseDateAs in server/base/date.h); empty: the forms of DateOf. BAD_ITEM, saying what was expected, if the value
// can't be converted.
StatusOr<boost::json::value> Typed(const boost::json::value& value, v1::ValueType type, const std::string& date_format);

// Returns a text, such as a cell of a CSV file, as the type.
StatusOr<boost::json::value> TypedText(std::string_view text, v1::ValueType type);

}  // namespace millrace
