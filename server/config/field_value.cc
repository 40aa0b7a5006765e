#include "server/config/field_value.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <limits>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/config/scalar.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Returns the prefix of an enum's values: `PICK_` if its zero is PICK_UNSPECIFIED.
std::string PrefixOf(const EnumDescriptor& type) {
  std::string prefix = type.FindValueByNumber(0)->name();
  constexpr std::string_view kZero = "UNSPECIFIED";
  if (prefix.ends_with(kZero)) prefix.resize(prefix.size() - kZero.size());
  return prefix;
}

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Sets a value through the right member of Reflection, whether of a singular field or of a list.
template <typename Value>
void Put(const FieldRef& slot, Value value, void (Reflection::*set)(Message*, const FieldDescriptor*, Value) const,
         void (Reflection::*set_element)(Message*, const FieldDescriptor*, int, Value) const) {
  const Reflection& reflection = *slot.message->GetReflection();
  if (slot.index < 0) {
    (reflection.*set)(slot.message, slot.field, std::move(value));
  } else {
    (reflection.*set_element)(slot.message, slot.field, slot.index, std::move(value));
  }
}

void PutInt64(const FieldRef& slot, int64_t value) {
  Put<int64_t>(slot, value, &Reflection::SetInt64, &Reflection::SetRepeatedInt64);
}
void PutInt32(const FieldRef& slot, int32_t value) {
  Put<int32_t>(slot, value, &Reflection::SetInt32, &Reflection::SetRepeatedInt32);
}
void PutUint64(const FieldRef& slot, uint64_t value) {
  Put<uint64_t>(slot, value, &Reflection::SetUInt64, &Reflection::SetRepeatedUInt64);
}
void PutUint32(const FieldRef& slot, uint32_t value) {
  Put<uint32_t>(slot, value, &Reflection::SetUInt32, &Reflection::SetRepeatedUInt32);
}
void PutDouble(const FieldRef& slot, double value) {
  Put<double>(slot, value, &Reflection::SetDouble, &Reflection::SetRepeatedDouble);
}
void PutBool(const FieldRef& slot, bool value) {
  Put<bool>(slot, value, &Reflection::SetBool, &Reflection::SetRepeatedBool);
}
void PutEnum(const FieldRef& slot, int value) {
  Put<int>(slot, value, &Reflection::SetEnumValue, &Reflection::SetRepeatedEnumValue);
}
void PutString(const FieldRef& slot, std::string value) {
  Put<std::string>(slot, std::move(value), &Reflection::SetString, &Reflection::SetRepeatedString);
}

// Returns the field that a scalar sets by a short form; empty: none.
const std::string& ShortFormPath(const v1::ShortForm& form, const Scalar& scalar) {
  if (scalar.quoted) return form.text();
  const ScalarKind kind = KindOf(scalar.text);
  if (kind == ScalarKind::kInteger && !form.integer().empty()) return form.integer();
  if ((kind == ScalarKind::kInteger || kind == ScalarKind::kNumber) && !form.number().empty()) return form.number();
  if (kind == ScalarKind::kPercentage && !form.percentage().empty()) return form.percentage();
  if (kind == ScalarKind::kBoolean && !form.boolean().empty()) return form.boolean();
  if (kind == ScalarKind::kDuration && !form.duration().empty()) return form.duration();
  static const std::string kNone;
  return kind == ScalarKind::kAmbiguous ? kNone : form.text();
}

std::string ShortFormExpectation(const v1::ShortForm& form, const Descriptor& descriptor) {
  std::vector<std::string> forms;
  if (!form.integer().empty()) forms.push_back("a whole number");
  if (!form.number().empty()) forms.push_back("a number");
  if (!form.percentage().empty()) forms.push_back("a percentage such as 5%");
  if (!form.duration().empty()) forms.push_back("a duration such as 30s");
  if (!form.boolean().empty()) forms.push_back("true or false");
  if (const FieldDescriptor* field = descriptor.FindFieldByName(form.text()); field != nullptr && field->enum_type()) {
    forms.push_back(Expectation(*field));
  } else if (!form.text().empty()) {
    forms.push_back("text");
  }
  if (!form.list().empty()) forms.push_back("a list");
  forms.push_back("a mapping");
  return fmt::format("{}", fmt::join(forms, " or "));
}

}  // namespace

const v1::FieldRules& RulesOf(const FieldDescriptor& field) { return field.options().GetExtension(v1::spec); }

const v1::ShortForm& ShortFormOf(const Descriptor& descriptor) {
  return descriptor.options().GetExtension(v1::short_form);
}

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type() == google::protobuf::Duration::descriptor();
}

std::vector<std::string> EnumNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) names.push_back(EnumName(type, type.value(i)->number()));
  }
  return names;
}

std::optional<int> EnumNumber(const EnumDescriptor& type, std::string_view name) {
  for (int i = 0; i < type.value_count(); ++i) {
    const int number = type.value(i)->number();
    if (number != 0 && EnumName(type, number) == name) return number;
  }
  return std::nullopt;
}

std::string EnumName(const EnumDescriptor& type, int number) {
  const google::protobuf::EnumValueDescriptor* value = type.FindValueByNumber(number);
  if (value == nullptr) return std::to_string(number);
  const std::string prefix = PrefixOf(type);
  return Lower(value->name().starts_with(prefix) ? value->name().substr(prefix.size()) : value->name());
}

std::string Expectation(const FieldDescriptor& field) {
  if (RulesOf(field).json_text()) return "a JSON value";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return "a whole number";
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a whole number from 0 on";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "a number";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return fmt::format("one of {}", fmt::join(EnumNames(*field.enum_type()), ", "));
    case FieldDescriptor::CPPTYPE_STRING:
      return "text";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (IsDuration(field)) return "a duration such as 30s or 1h30m";
      return ShortFormExpectation(ShortFormOf(*field.message_type()), *field.message_type());
  }
  return "a value";
}

std::string Got(const Scalar& scalar) {
  return fmt::format("{}\"{}\"", scalar.quoted ? "text " : "", Excerpt(scalar.text));
}

std::optional<std::string> SetScalar(const FieldRef& slot, const Scalar& scalar) {
  const FieldDescriptor& field = *slot.field;
  const auto wrong = [&](std::string_view hint = "") {
    return fmt::format("expected {}, got {}{}", Expectation(field), Got(scalar), hint);
  };
  if (RulesOf(field).json_text()) {
    std::optional<std::string> text = ScalarToJson(scalar);
    if (!text) return wrong("; put quotes around it if it is text, or write it as a decimal number");
    PutString(slot, *std::move(text));
    return std::nullopt;
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    PutString(slot, scalar.text);
    return std::nullopt;
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const std::optional<int> number = EnumNumber(*field.enum_type(), scalar.text);
    if (!number) {
      const std::string nearest = NearestName(scalar.text, EnumNames(*field.enum_type()));
      return wrong(nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest));
    }
    PutEnum(slot, *number);
    return std::nullopt;
  }
  if (IsDuration(field)) {
    const std::optional<Duration> duration = ParseDuration(scalar.text);
    if (!duration) return wrong(KindOf(scalar.text) == ScalarKind::kInteger ? "; the unit is missing" : "");
    google::protobuf::Duration value;
    value.set_seconds(duration->count() / 1'000'000'000);
    value.set_nanos(static_cast<int32_t>(duration->count() % 1'000'000'000));
    slot.MutableMessage()->CopyFrom(value);
    return std::nullopt;
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return SetShortForm(*slot.MutableMessage(), scalar);

  if (scalar.quoted) return wrong("; leave out the quotes");
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: {
      const std::optional<bool> truth = ParseBoolean(scalar.text);
      if (!truth) return wrong();
      PutBool(slot, *truth);
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const std::optional<double> number = ParseNumber(scalar.text);
      if (!number) return wrong();
      PutDouble(slot, *number);
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64: {
      const bool is_wide = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
      const std::optional<uint64_t> number = ParseUnsigned(scalar.text);
      if (!number || (!is_wide && *number > std::numeric_limits<uint32_t>::max())) return wrong();
      is_wide ? PutUint64(slot, *number) : PutUint32(slot, static_cast<uint32_t>(*number));
      return std::nullopt;
    }
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::optional<int64_t> number = ParseInteger(scalar.text);
      if (!number) return wrong();
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
        PutInt64(slot, *number);
      } else if (*number < std::numeric_limits<int32_t>::min() || *number > std::numeric_limits<int32_t>::max()) {
        return wrong();
      } else {
        PutInt32(slot, static_cast<int32_t>(*number));
      }
      return std::nullopt;
    }
    default:
      return fmt::format("{} can't be written in a definition", field.name());
  }
}

std::optional<std::string> SetShortForm(Message& message, const Scalar& scalar) {
  const v1::ShortForm& form = ShortFormOf(*message.GetDescriptor());
  const std::string& path = ShortFormPath(form, scalar);
  const auto expected = [&] {
    return fmt::format("expected {}, got {}", ShortFormExpectation(form, *message.GetDescriptor()), Got(scalar));
  };
  if (path.empty()) return expected();
  const StatusOr<std::vector<FieldRef>> slots = ResolvePath(message, path);
  if (!slots.ok()) return std::string(MessageOf(slots.status()));
  std::optional<std::string> what = SetScalar(slots->back(), scalar);
  if (what && slots->back().field->enum_type() != nullptr) return expected();  // it has other forms than its names
  return what;
}

void Touch(const FieldRef& slot) {
  switch (slot.field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return PutInt32(slot, 0);
    case FieldDescriptor::CPPTYPE_INT64:
      return PutInt64(slot, 0);
    case FieldDescriptor::CPPTYPE_UINT32:
      return PutUint32(slot, 0);
    case FieldDescriptor::CPPTYPE_UINT64:
      return PutUint64(slot, 0);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return PutDouble(slot, 0);
    case FieldDescriptor::CPPTYPE_BOOL:
      return PutBool(slot, false);
    case FieldDescriptor::CPPTYPE_ENUM:
      return PutEnum(slot, 0);
    case FieldDescriptor::CPPTYPE_STRING:
      return PutString(slot, "");
    case FieldDescriptor::CPPTYPE_MESSAGE:
      slot.MutableMessage()->Clear();
      return;
    case FieldDescriptor::CPPTYPE_FLOAT:
      return;  // the project's messages have none
  }
}

std::string QuoteJson(std::string_view text) {
  return CanonicalJson(json::value(json::string(text.data(), text.size())));
}

std::optional<std::string> ScalarToJson(const Scalar& scalar) {
  if (scalar.quoted) return QuoteJson(scalar.text);
  switch (KindOf(scalar.text)) {
    case ScalarKind::kAmbiguous:
      return std::nullopt;
    case ScalarKind::kBoolean:
      return *ParseBoolean(scalar.text) ? "true" : "false";
    case ScalarKind::kInteger:
      return scalar.text.starts_with('+') ? scalar.text.substr(1) : scalar.text;
    case ScalarKind::kNumber: {
      const std::optional<std::string> number = NumberInText(scalar.text);
      if (!number) return std::nullopt;
      return CanonicalJson(NumberValue(*number));
    }
    default:
      return QuoteJson(scalar.text);
  }
}

}  // namespace millrace
