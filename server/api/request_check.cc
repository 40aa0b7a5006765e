#include "server/api/request_check.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace millrace::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Bounds of the well-known types, in seconds: years 1 to 9999, and 10,000 years, as protobuf documents them.
constexpr int64_t kTimeMin = -62'135'596'800;
constexpr int64_t kTimeMax = 253'402'300'799;
constexpr int64_t kDurationMax = 315'576'000'000;
constexpr int32_t kNanosMax = 999'999'999;
constexpr size_t kViolationsMax = 100;

// Returns true for a field without a message whose value may be wrong.
bool IsChecked(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE || field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT ||
         field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
}

// Returns whether a message of the type may have a field that is checked, in itself or in a message within.
bool MayBeWrong(const Descriptor* type, std::set<const Descriptor*>& seen) {
  if (type == google::protobuf::Timestamp::descriptor() || type == google::protobuf::Duration::descriptor())
    return true;
  if (!seen.insert(type).second) return false;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor& field = *type->field(i);
    if (IsChecked(field) || (field.message_type() != nullptr && MayBeWrong(field.message_type(), seen))) return true;
  }
  return false;
}

// Remembers MayBeWrong by type.
bool NeedsCheck(const Descriptor* type) {
  static std::mutex mutex;
  static std::map<const Descriptor*, bool> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(type);
  if (found != known.end()) return found->second;
  std::set<const Descriptor*> seen;
  return known[type] = MayBeWrong(type, seen);
}

std::string Wrong(const google::protobuf::Timestamp& time) {
  if (time.seconds() < kTimeMin || time.seconds() > kTimeMax) {
    const bool is_millis = time.seconds() / 1000 >= kTimeMin && time.seconds() / 1000 <= kTimeMax;
    return fmt::format("expected seconds of a time in the years 1 to 9999, got {}{}", time.seconds(),
                       is_millis ? "; are they milliseconds?" : "");
  }
  if (time.nanos() >= 0 && time.nanos() <= kNanosMax) return "";
  return fmt::format("expected nanos from 0 to 999,999,999, got {}", time.nanos());
}

std::string Wrong(const google::protobuf::Duration& duration) {
  if (duration.seconds() < -kDurationMax || duration.seconds() > kDurationMax) {
    return fmt::format("expected at most 10,000 years in seconds, got {}", duration.seconds());
  }
  if (duration.nanos() < -kNanosMax || duration.nanos() > kNanosMax) {
    return fmt::format("expected nanos of less than a second, got {}", duration.nanos());
  }
  const bool differ =
      (duration.seconds() < 0 && duration.nanos() > 0) || (duration.seconds() > 0 && duration.nanos() < 0);
  return differ ? "expected seconds and nanos of the same sign" : "";
}

class RequestChecker {
 public:
  void Check(const Message& message, const std::string& path) {
    if (!NeedsCheck(message.GetDescriptor())) return;
    if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message)) return Note(path, Wrong(*time));
    if (const auto* span = dynamic_cast<const google::protobuf::Duration*>(&message)) return CheckSpan(path, *span);
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      const std::string at = path.empty() ? field->name() : path + "." + field->name();
      field->is_repeated() ? CheckEach(message, *field, at) : CheckOne(message, *field, at);
      if (violations.size() >= kViolationsMax) return;
    }
  }

  std::vector<FieldViolation> violations;

 private:
  void Note(const std::string& path, std::string description) {
    if (!description.empty()) violations.push_back({path, std::move(description)});
  }
  // A request's own durations are times to wait and ages. Those of a definition have checks of their own.
  void CheckSpan(const std::string& path, const google::protobuf::Duration& span) {
    std::string wrong = Wrong(span);
    const bool is_negative = span.seconds() < 0 || span.nanos() < 0;
    if (wrong.empty() && is_negative && path.find('.') == std::string::npos) wrong = "expected no negative duration";
    Note(path, std::move(wrong));
  }
  void CheckNumber(const std::string& path, double number) {
    if (!std::isfinite(number)) Note(path, "expected a finite number");
  }
  // proto3 keeps numbers that the enum does not have, such as those of a newer client.
  void CheckEnum(const std::string& path, const FieldDescriptor& field, int number) {
    if (field.enum_type()->FindValueByNumber(number) != nullptr) return;
    Note(path, fmt::format("{} has no value {}", field.enum_type()->name(), number));
  }

  void CheckOne(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    if (field.message_type() != nullptr) return Check(reflection.GetMessage(message, &field), path);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) CheckNumber(path, reflection.GetDouble(message, &field));
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) CheckNumber(path, reflection.GetFloat(message, &field));
    if (field.enum_type() != nullptr) CheckEnum(path, field, reflection.GetEnumValue(message, &field));
  }

  void CheckEach(const Message& message, const FieldDescriptor& field, const std::string& path) {
    if (field.message_type() == nullptr ? !IsChecked(field) : !NeedsCheck(field.message_type())) return;
    const Reflection& reflection = *message.GetReflection();
    const int size = reflection.FieldSize(message, &field);
    for (int i = 0; i < size && violations.size() < kViolationsMax; ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      if (field.is_map()) {
        CheckEntry(reflection.GetRepeatedMessage(message, &field, i), path);
      } else if (field.message_type() != nullptr) {
        Check(reflection.GetRepeatedMessage(message, &field, i), at);
      } else if (field.enum_type() != nullptr) {
        CheckEnum(at, field, reflection.GetRepeatedEnumValue(message, &field, i));
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
        CheckNumber(at, reflection.GetRepeatedDouble(message, &field, i));
      } else {
        CheckNumber(at, reflection.GetRepeatedFloat(message, &field, i));
      }
    }
  }

  // The entry of a map; keys of this API are names.
  void CheckEntry(const Message& entry, const std::string& path) {
    const FieldDescriptor& key = *entry.GetDescriptor()->map_key();
    const FieldDescriptor& value = *entry.GetDescriptor()->map_value();
    const std::string name = key.cpp_type() == FieldDescriptor::CPPTYPE_STRING
                                 ? Excerpt(entry.GetReflection()->GetString(entry, &key))
                                 : std::string("?");
    CheckOne(entry, value, path + "." + name);
  }
};

}  // namespace

Status CheckRequest(const Message& request) {
  RequestChecker checker;
  checker.Check(request, "");
  if (checker.violations.empty()) return absl::OkStatus();
  const FieldViolation& first = checker.violations.front();
  return MakeFieldError(Reason::kInvalidField, first.field + ": " + first.description, checker.violations);
}

Status WithMistakesOf(const Status& wrong, std::string_view field, const Status& checked) {
  std::vector<FieldViolation> all = ViolationsOf(checked);
  if (all.empty()) return wrong;
  const std::string prefix = fmt::format("{}.", field);
  for (FieldViolation& violation : ViolationsOf(wrong)) {
    if (violation.field.starts_with(prefix)) violation.field.erase(0, prefix.size());
    const bool is_known =
        std::any_of(all.begin(), all.end(), [&](const FieldViolation& each) { return each.field == violation.field; });
    if (!is_known) all.push_back(std::move(violation));
  }
  const std::string first = Excerpt(all.front().field + ": " + all.front().description, 900);
  const std::string more = all.size() > 1 ? fmt::format(" (and {} more)", all.size() - 1) : "";
  return MakeFieldError(Reason::kInvalidDefinition, first + more, all);
}

}  // namespace millrace::api
