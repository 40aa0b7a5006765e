#include "server/config/rules.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <re2/re2.h>

#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <memory>

#include "server/base/duration.h"
#include "server/base/json.h"
#include "server/config/field_path.h"
#include "server/config/field_value.h"
#include "server/text/nearest.h"
#include "server/text/pattern.h"

namespace millrace {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

bool IsMessage(const FieldDescriptor& field) { return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE; }
bool IsString(const FieldDescriptor& field) { return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING; }

std::string StringOf(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& reflection = *message.GetReflection();
  return index < 0 ? reflection.GetString(message, field) : reflection.GetRepeatedString(message, field, index);
}

const Message& MessageAt(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& reflection = *message.GetReflection();
  return index < 0 ? reflection.GetMessage(message, field) : reflection.GetRepeatedMessage(message, field, index);
}

// Returns the value of a singular number.
double NumberOf(const Message& message, const FieldDescriptor* field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(reflection.GetUInt64(message, field));
    default:
      return reflection.GetDouble(message, field);
  }
}

class RuleChecker {
 public:
  explicit RuleChecker(const BoundPaths& bound) : bound_(bound) {}

  void CheckMessage(const Message& message, const std::string& path) {
    const Descriptor& descriptor = *message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < descriptor.real_oneof_decl_count(); ++i) {
      if (!reflection.HasOneof(message, descriptor.oneof_decl(i))) RefuseOneof(*descriptor.oneof_decl(i), path);
    }
    for (int i = 0; i < descriptor.field_count(); ++i) {
      const FieldDescriptor* field = descriptor.field(i);
      CheckField(message, field, PathOfField(path, field->name()));
    }
  }

  std::vector<FieldViolation> violations;

 private:
  void Refuse(const std::string& path, std::string what) { violations.push_back({path, std::move(what)}); }

  void RefuseOneof(const OneofDescriptor& oneof, const std::string& path) {
    std::vector<std::string> names;
    for (int i = 0; i < oneof.field_count(); ++i) names.push_back(oneof.field(i)->name());
    Refuse(path, names.size() == 1 ? fmt::format("{} must be set", names[0])
                                   : fmt::format("one of {} must be set", fmt::join(names, ", ")));
  }

  void CheckField(const Message& message, const FieldDescriptor* field, const std::string& path) {
    if (bound_.contains(path)) return;
    const Reflection& reflection = *message.GetReflection();
    const v1::FieldRules& rules = RulesOf(*field);
    if (field->is_repeated()) {
      const int size = reflection.FieldSize(message, field);
      if (size == 0) {
        if (rules.required()) Refuse(path, "must have an entry");
        return;
      }
      CheckRange(rules, size, path, [](double n) { return fmt::format("{} entries", n); });
      // A list beyond its bounds is refused without a check of its entries, which would be work without bounds.
      if (rules.has_max() && size > rules.max()) return;
      for (int i = 0; i < size; ++i) CheckElement(message, field, i, path);
      return;
    }
    if (!reflection.HasField(message, field)) {
      if (rules.required()) Refuse(path, "must be set");
      return;
    }
    CheckValue(message, field, -1, path);
  }

  void CheckElement(const Message& message, const FieldDescriptor* field, int index, const std::string& path) {
    if (!field->is_map()) {
      const std::string element = PathOfElement(path, static_cast<size_t>(index));
      if (!bound_.contains(element)) CheckValue(message, field, index, element);
      return;
    }
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, field, index);
    const std::string key = entry.GetReflection()->GetString(entry, entry.GetDescriptor()->map_key());
    const std::string at = PathOfEntry(path, key);
    if (bound_.contains(at)) return;
    CheckPattern(RulesOf(*field).pattern(), key, at, "the key");
    CheckValue(entry, entry.GetDescriptor()->map_value(), -1, at);
  }

  // Checks a singular value or an element. The bounds of a list count its entries, so they are not those of its
  // elements.
  void CheckValue(const Message& message, const FieldDescriptor* field, int index, const std::string& path) {
    const v1::FieldRules& rules = RulesOf(*field);
    if (IsMessage(*field)) {
      const Message& value = MessageAt(message, field, index);
      if (IsDuration(*field)) {
        CheckDuration(rules, static_cast<const google::protobuf::Duration&>(value), path);
      } else {
        CheckMessage(value, path);
      }
      return;
    }
    if (IsString(*field)) {
      CheckString(rules, StringOf(message, field, index), index, path);
      return;
    }
    if (index >= 0) return;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      const int number = message.GetReflection()->GetEnumValue(message, field);
      if (field->enum_type()->FindValueByNumber(number) == nullptr) {
        Refuse(path, fmt::format("expected {}, got {}", Expectation(*field), number));
      }
      return;
    }
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) return;
    const double number = NumberOf(message, field);
    if (!std::isfinite(number)) {
      Refuse(path, "must be a finite number");
      return;
    }
    CheckRange(rules, number, path, [](double n) { return fmt::format("{}", n); });
  }

  void CheckDuration(const v1::FieldRules& rules, const google::protobuf::Duration& value, const std::string& path) {
    constexpr int64_t kSecondsMax = kLongestDuration / std::chrono::seconds(1);
    const bool is_mixed = (value.seconds() > 0 && value.nanos() < 0) || (value.seconds() < 0 && value.nanos() > 0);
    const bool is_too_long = value.seconds() >= kSecondsMax || value.seconds() <= -kSecondsMax;
    if (is_too_long || std::abs(value.nanos()) > 999'999'999 || is_mixed) {
      Refuse(path, "is not a valid duration");
      return;
    }
    const double seconds = static_cast<double>(value.seconds()) + 1e-9 * value.nanos();
    if (seconds < 0) {
      Refuse(path, "must not be negative");
      return;
    }
    CheckRange(rules, seconds, path, [](double n) { return fmt::format("{}s", n); });
  }

  void CheckString(const v1::FieldRules& rules, const std::string& text, int index, const std::string& path) {
    if (text.empty() && rules.required() && index < 0) {
      Refuse(path, "must not be empty");
      return;
    }
    if (index < 0)
      CheckRange(rules, static_cast<double>(text.size()), path, [](double n) { return fmt::format("{} bytes", n); });
    CheckPattern(rules.pattern(), text, path, "it");
    if (rules.json_text() && !text.empty()) {
      if (const StatusOr<json::value> value = ParseExact(text, {.depth = kOutsideDepthMax}); !value.ok())
        Refuse(path, std::string(MessageOf(value.status())));
    }
    if (rules.re2()) {
      const StatusOr<Pattern> pattern = Pattern::Compile(text);
      if (!pattern.ok()) Refuse(path, Excerpt(MessageOf(pattern.status()), 256));
    }
  }

  template <typename Show>
  void CheckRange(const v1::FieldRules& rules, double number, const std::string& path, Show show) {
    if (rules.has_min() && number < rules.min()) {
      Refuse(path, fmt::format("must be at least {}, got {}", show(rules.min()), show(number)));
    } else if (rules.has_max() && number > rules.max()) {
      Refuse(path, fmt::format("must be at most {}, got {}", show(rules.max()), show(number)));
    }
  }

  void CheckPattern(const std::string& pattern, const std::string& text, const std::string& path,
                    std::string_view what) {
    if (pattern.empty()) return;
    std::unique_ptr<re2::RE2>& compiled = patterns_[pattern];
    if (!compiled) compiled = std::make_unique<re2::RE2>(pattern);
    if (re2::RE2::FullMatch(text, *compiled)) return;
    Refuse(path, fmt::format("{} must match {}, got \"{}\"", what, pattern, Excerpt(text)));
  }

  const BoundPaths& bound_;
  std::map<std::string, std::unique_ptr<re2::RE2>> patterns_;
};

// Returns true if an absent message would have fields with defaults.
bool HasDefaults(const Descriptor& descriptor) {
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (field.is_repeated() || field.real_containing_oneof() != nullptr) continue;
    if (!RulesOf(field).default_value().empty()) return true;
    if (IsMessage(field) && !IsDuration(field) && HasDefaults(*field.message_type())) return true;
  }
  return false;
}

}  // namespace

std::vector<FieldViolation> CheckRules(const Message& message, const BoundPaths& bound) {
  RuleChecker checker(bound);
  checker.CheckMessage(message, "");
  return std::move(checker.violations);
}

void VisitStrings(const Message& message, std::string_view path,
                  const std::function<void(const FieldDescriptor&, const std::string&, const std::string&)>& visit) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string at = PathOfField(path, field->name());
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const int index = field->is_repeated() ? i : -1;
      if (field->is_map()) {
        const Message& entry = reflection.GetRepeatedMessage(message, field, i);
        const FieldDescriptor* value = entry.GetDescriptor()->map_value();
        const std::string key = entry.GetReflection()->GetString(entry, entry.GetDescriptor()->map_key());
        if (IsMessage(*value)) {
          VisitStrings(entry.GetReflection()->GetMessage(entry, value), PathOfEntry(at, key), visit);
        } else if (value->type() == FieldDescriptor::TYPE_STRING) {
          visit(*field, PathOfEntry(at, key), entry.GetReflection()->GetString(entry, value));
        } else if (value->type() != FieldDescriptor::TYPE_BYTES) {
          visit(*field, PathOfEntry(at, key), key);
        }
        continue;
      }
      const std::string element = index < 0 ? at : PathOfElement(at, static_cast<size_t>(i));
      if (IsMessage(*field)) {
        VisitStrings(MessageAt(message, field, index), element, visit);
      } else if (IsString(*field)) {
        visit(*field, element, StringOf(message, field, index));
      }
    }
  }
}

void FillDefaults(Message& message, AbsentMessages absent) {
  const Descriptor& descriptor = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* field = descriptor.field(i);
    if (field->is_map()) {
      if (!IsMessage(*field->message_type()->map_value())) continue;
      for (int j = 0; j < reflection.FieldSize(message, field); ++j) {
        Message* entry = reflection.MutableRepeatedMessage(&message, field, j);
        FillDefaults(*entry->GetReflection()->MutableMessage(entry, entry->GetDescriptor()->map_value()), absent);
      }
      continue;
    }
    if (field->is_repeated()) {
      if (!IsMessage(*field)) continue;
      for (int j = 0; j < reflection.FieldSize(message, field); ++j) {
        FillDefaults(*reflection.MutableRepeatedMessage(&message, field, j), absent);
      }
      continue;
    }
    const std::string& value = RulesOf(*field).default_value();
    if (!value.empty() && !reflection.HasField(message, field) && field->real_containing_oneof() == nullptr) {
      SetScalar({&message, field, -1}, {value, false});  // a test reads every default of the messages
    }
    if (!IsMessage(*field) || IsDuration(*field)) continue;
    const bool makes = absent == AbsentMessages::kMake && field->real_containing_oneof() == nullptr &&
                       HasDefaults(*field->message_type());
    if (makes || reflection.HasField(message, field)) FillDefaults(*reflection.MutableMessage(&message, field), absent);
  }
}

}  // namespace millrace
