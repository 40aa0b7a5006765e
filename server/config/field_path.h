// Paths of fields: `stages[0].fetch.csv.path`, `parameters.min_titles`, `files["prompts/a.txt"]`. The reader makes
// them; errors and bindings name fields by them.
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

// Reference to one value of a message: a singular field or an element of a list. (A value of a map is the `value` of
// its entry.)
struct FieldRef {
  google::protobuf::Message* message = nullptr;
  const google::protobuf::FieldDescriptor* field = nullptr;
  int index = -1;  // in a list; -1: singular

  // Returns the message in the field; makes it if it is absent. REQUIRES: the field is a message.
  google::protobuf::Message* MutableMessage() const;
};

std::string PathOfField(std::string_view parent, std::string_view name);
std::string PathOfElement(std::string_view list, size_t index);
std::string PathOfEntry(std::string_view map, std::string_view key);

// Returns the fields on the way to `path`; the last one is that of `path`. Makes absent singular messages on the way;
// the elements of lists and maps must exist. The error says which part of the path does not exist.
StatusOr<std::vector<FieldRef>> ResolvePath(google::protobuf::Message& message, std::string_view path);

}  // namespace millrace
