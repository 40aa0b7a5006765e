// One scalar of a definition set in a message, as its field's type and rules ask: numbers, sizes, percentages,
// durations, enums without prefix, short forms of messages, JSON.
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

// A scalar as written.
struct Scalar {
  std::string text;
  bool quoted = false;  // text, whatever it looks like
};

const v1::FieldRules& RulesOf(const google::protobuf::FieldDescriptor& field);
const v1::ShortForm& ShortFormOf(const google::protobuf::Descriptor& descriptor);
bool IsDuration(const google::protobuf::FieldDescriptor& field);

// Names of an enum's values as YAML writes them.
std::vector<std::string> EnumNames(const google::protobuf::EnumDescriptor& type);
// The number of the value of that name.
std::optional<int> EnumNumber(const google::protobuf::EnumDescriptor& type, std::string_view name);
std::string EnumName(const google::protobuf::EnumDescriptor& type, int number);

// What a field expects, such as `a whole number` or `one of drop, keep`.
std::string Expectation(const google::protobuf::FieldDescriptor& field);

// Sets the slot. Nothing, or what is wrong: `expected a number, got "high"`.
std::optional<std::string> SetScalar(const Slot& slot, const Scalar& scalar);

// Sets a message by its short form for this scalar; likewise.
std::optional<std::string> SetShortForm(google::protobuf::Message& message, const Scalar& scalar);

// Sets the slot to its type's default so that it counts as given (a oneof's member, an optional field, a message).
void Touch(const Slot& slot);

// A scalar without quotes as a JSON value; nothing where it is ambiguous (007).
std::optional<std::string> ScalarToJson(const Scalar& scalar);

// A string as JSON.
std::string QuoteJson(std::string_view text);

// What stands there, for an error: `text "high"`, `"high"`, `nothing`.
std::string Got(const Scalar& scalar);

}  // namespace millrace
