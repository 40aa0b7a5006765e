// Check of every request at the door, by reflection: values of well-known types and numbers that have no form in JSON.
// Behind the door they would be stored, and nobody could print what has them.
#pragma once

#include <google/protobuf/message.h>

#include "server/base/status.h"

namespace millrace::api {

// Returns INVALID_ARGUMENT (INVALID_FIELD) with the path of each field, at most 100, that has a Timestamp outside the
// years 1 to 9999, a Duration beyond 10,000 years, nanoseconds out of range or of the other sign, or a number that is
// not finite. Messages of types that can't have such a field are not walked through. Any thread.
Status CheckRequest(const google::protobuf::Message& request);

}  // namespace millrace::api
