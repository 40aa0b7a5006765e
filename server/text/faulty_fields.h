// Tells the fields of an answer that fit its schema from those that do not, so that a repair asks only for the latter.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// An answer of which some fields fit.
struct FaultyFields {
  std::string answer;  // the JSON object of the answer, with its faulty fields
  std::string schema;  // JSON Schema of an object that has the faulty fields and no others
  std::string faults;  // for the model: a line for each faulty field with its name and its fault
};

// Returns the fields of an answer that are missing or do not fit the schema. nullopt if fields can't be judged one by
// one: the answer has no JSON object or several, no field fits, or the object has fields that the schema forbids; or
// the schema's root is not an object with at most 200 `properties`, or has keywords that connect fields (`anyOf`,
// `dependencies` and the like), or refers to itself. A pure function, any thread; takes the time of as many checks as
// the schema has properties.
std::optional<FaultyFields> FindFaultyFields(std::string_view answer, std::string_view schema);

// Returns the JSON object `answer` with the fields of the JSON object `fields` in place of its own. NOT_JSON if one of
// the texts is not an object.
StatusOr<std::string> WithFields(std::string_view answer, std::string_view fields);

}  // namespace millrace
