// Check of every request at the door, by reflection. Values of well-known types and numbers that have no form in JSON
// would be stored behind the door, and nobody could print what has them. Numbers that their enum does not have would be
// ignored without a word.
#pragma once

#include <google/protobuf/message.h>

#include <string_view>

#include "server/base/status.h"

namespace millrace::api {

// Returns INVALID_ARGUMENT (INVALID_FIELD) with the path of each field, at most 100, that has a Timestamp outside the
// years 1 to 9999, a Duration beyond 10,000 years, nanoseconds out of range or of the other sign, a number that is not
// finite, or a number that its enum does not have. A negative Duration is refused in the request itself; those in the
// messages within, such as definitions, are checked with them. Messages of types that can't have such a field are not
// walked through. Any thread.
Status CheckRequest(const google::protobuf::Message& request);

// Returns `wrong`, an error of CheckRequest, with all mistakes of the definition that the request has in `field`:
// `checked` is the result of the definition's own check. The author of a definition sees all mistakes at once. The
// paths of both then begin in the definition. Returns `wrong` as it is if the definition's check finds nothing.
Status WithMistakesOf(const Status& wrong, std::string_view field, const Status& checked);

}  // namespace millrace::api
