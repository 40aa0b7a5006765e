// Fields of the answers that a JSON Schema describes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/text/field_tree.h"

namespace millrace {

// Returns the fields that a schema (JSON text) names. Whatever the schema leaves open (references, alternatives, an
// object without properties) may have any field. Members that an object may have beside its `properties` do not count,
// unless the schema says what they are like.
FieldTree AnswerFields(std::string_view schema);

// Returns names in a schema (JSON text) that are allowed and hardly meant: a required member that its `properties`
// lack, and a keyword that differs by a few letters from one of JSON Schema. A model that is asked for them answers in
// vain.
std::vector<std::string> SchemaDoubts(std::string_view schema);

}  // namespace millrace
