// Reads a tree into a message by its descriptor alone: the same code reads pipelines, the server's configuration and
// profiles. Everything that is wrong is found in one pass.
#pragma once

#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/config/document.h"
#include "server/config/place.h"

namespace millrace {

// Whether `$(x)` in a scalar is a parameter. Then it becomes a binding, and the field is given but has its type's
// default.
enum class Parameters { kNone, kInStages };

// What reading found out beside the message.
struct Reading {
  std::vector<Problem> problems;      // in no order
  Places places;                      // of every field that is given, by path
  std::vector<v1::Binding> bindings;  // in the order of the file
};

// Fills `message`, which should be empty. Unknown keys, wrong types and two members of a oneof are problems; bounds are
// the business of rules.h.
Reading ReadMessage(const YamlNode& tree, google::protobuf::Message& message, Parameters parameters);

}  // namespace millrace
