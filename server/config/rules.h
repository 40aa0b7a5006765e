// The rules that the messages' own options state (required, bounds, patterns, one member of a oneof), checked on a
// message, wherever it came from.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace millrace {

// Paths whose value comes later, from a parameter.
using BoundPaths = std::set<std::string, std::less<>>;

// Every field that breaks a rule, in the order of the message. What is at or below a bound path is not looked at.
std::vector<FieldViolation> CheckRules(const google::protobuf::Message& message, const BoundPaths& bound = {});

// Calls `visit` for every string that is set in a message or below it.
void VisitStrings(const google::protobuf::Message& message, std::string_view path,
                  const std::function<void(const google::protobuf::FieldDescriptor& field, const std::string& path,
                                           const std::string& value)>& visit);

// Sets every absent field that has a default to it. A pipeline's message stays absent where it is; of a server's
// configuration the messages with defaults are made.
enum class AbsentMessages { kLeave, kMake };
void FillDefaults(google::protobuf::Message& message, AbsentMessages absent);

}  // namespace millrace
