// Paths of fields: `stages[0].fetch.csv.path`, `parameters.min_titles`, `files["prompts/a.txt"]`. The reader writes
// them, errors and bindings name fields by them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace millrace {

// One value of a message: a singular field, or an element of a list. (A value of a map is the `value` of its entry.)
struct Slot {
  google::protobuf::Message* message = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
  int index = -1;  // in a list; -1: singular

  // The message there, made where absent. Only where the field is a message.
  google::protobuf::Message* MutableMessage() const;
};

std::string PathOfField(std::string_view parent, std::string_view name);
std::string PathOfElement(std::string_view list, size_t index);
std::string PathOfEntry(std::string_view map, std::string_view key);

// The slots on the way to `path`, the last one being it. Lists and maps must have the element already; singular
// messages on the way are made. The error is a sentence on what is not there.
StatusOr<std::vector<Slot>> ResolvePath(google::protobuf::Message& message, std::string_view path);

}  // namespace millrace
