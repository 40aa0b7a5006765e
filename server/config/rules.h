// Checks of a message by the rules that its own options state: required fields, bounds, patterns, one member of a
// oneof.
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

// Paths of fields that a parameter will set.
using BoundPaths = std::set<std::string, std::less<>>;

// Returns every field that breaks a rule, in the order of the message. Skips fields at or below a bound path.
std::vector<FieldViolation> CheckRules(const google::protobuf::Message& message, const BoundPaths& bound = {});

// Calls `visit` for every string that is set in a message or below it; of a map from names to numbers, for its keys.
void VisitStrings(const google::protobuf::Message& message, std::string_view path,
                  const std::function<void(const google::protobuf::FieldDescriptor& field, const std::string& path,
                                           const std::string& value)>& visit);

// Sets every absent field that has a default to it. kLeave: absent messages stay absent, as in a pipeline. kMake:
// absent messages with defaults are made, as in a server's configuration.
enum class AbsentMessages { kLeave, kMake };
void FillDefaults(google::protobuf::Message& message, AbsentMessages absent);

}  // namespace millrace
