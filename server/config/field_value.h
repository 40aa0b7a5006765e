// Conversion of one scalar of a definition to the value of a field, by the field's type and rules: numbers, sizes,
// percentages, durations, enums without prefix, short forms of messages, JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/options.pb.h"
#include "server/config/field_path.h"

namespace google::protobuf {
class Descriptor;
class EnumDescriptor;
}  // namespace google::protobuf

namespace millrace {

// A scalar as the file has it.
struct Scalar {
  std::string text;
  bool quoted = false;  // always text
};

const v1::FieldRules& RulesOf(const google::protobuf::FieldDescriptor& field);
const v1::ShortForm& ShortFormOf(const google::protobuf::Descriptor& descriptor);
bool IsDuration(const google::protobuf::FieldDescriptor& field);

// Returns the names of an enum's values as YAML has them.
std::vector<std::string> EnumNames(const google::protobuf::EnumDescriptor& type);
// Returns the number of the value with that name.
std::optional<int> EnumNumber(const google::protobuf::EnumDescriptor& type, std::string_view name);
std::string EnumName(const google::protobuf::EnumDescriptor& type, int number);

// Returns what a field expects, such as `a whole number` or `one of drop, keep`.
std::string Expectation(const google::protobuf::FieldDescriptor& field);

// Sets the field. Returns what is wrong, or nothing: `expected a number, got "high"`.
std::optional<std::string> SetScalar(const FieldRef& slot, const Scalar& scalar);

// Sets a message by its short form for this scalar. Returns what is wrong, or nothing.
std::optional<std::string> SetShortForm(google::protobuf::Message& message, const Scalar& scalar);

// Sets the field to its type's default so that it counts as given (a oneof's member, an optional field, a message).
void Touch(const FieldRef& slot);

// Returns a scalar without quotes as a JSON value; nullopt if it is ambiguous (007).
std::optional<std::string> ScalarToJson(const Scalar& scalar);

// Returns a string as JSON, with its quotes.
std::string QuoteJson(std::string_view text);

// Returns the actual value for an error: `text "high"`, `"high"`, `nothing`.
std::string Got(const Scalar& scalar);

}  // namespace millrace
