// Reader of trees into messages, by descriptors alone: the same code reads pipelines, the server's configuration and
// profiles. One pass finds every problem.
#pragma once

#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/config/document.h"
#include "server/config/place.h"

namespace millrace {

// Meaning of `$(x)` in a scalar: kNone: plain text. kInStages: a parameter, within stages; the reader makes a binding,
// and the field is set to the default of its type so that it counts as given.
enum class Parameters { kNone, kInStages };

// Results of reading beside the message.
struct Reading {
  std::vector<Problem> problems;      // in no order
  Places places;                      // of every field that is given, by path
  std::vector<v1::Binding> bindings;  // in the order of the file
};

// Fills `message`. REQUIRES: it is empty. Unknown keys, wrong types and two members of a oneof are problems; rules.h
// checks bounds.
Reading ReadMessage(const YamlNode& tree, google::protobuf::Message& message, Parameters parameters);

}  // namespace millrace
