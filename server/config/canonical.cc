#include "server/config/canonical.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>

#include "server/base/canonical_json.h"
#include "server/base/digest.h"
#include "server/base/duration.h"
#include "server/base/json.h"
#include "server/config/field_value.h"
#include "server/config/rules.h"

namespace millrace {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Files = google::protobuf::Map<std::string, std::string>;

class Canonicalizer {
 public:
  Canonicalizer(Effect effect, const Files& files) : effect_(effect), files_(files) {}

  json::object ObjectOf(const Message& message) const {
    const Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    json::object object;
    for (const FieldDescriptor* field : fields) {
      if (effect_ == Effect::kResult && RulesOf(*field).effect() != v1::FIELD_EFFECT_RESULT) continue;
      object[field->name()] = field->is_map()        ? MapOf(message, field)
                              : field->is_repeated() ? ListOf(message, field)
                                                     : ValueOf(message, field, -1);
    }
    return object;
  }

 private:
  json::value MapOf(const Message& message, const FieldDescriptor* field) const {
    const Reflection& reflection = *message.GetReflection();
    json::object object;
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, field, i);
      const std::string key = entry.GetReflection()->GetString(entry, entry.GetDescriptor()->map_key());
      object[key] = ValueOf(entry, entry.GetDescriptor()->map_value(), -1);
    }
    return object;
  }

  json::value ListOf(const Message& message, const FieldDescriptor* field) const {
    json::array array;
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      array.push_back(ValueOf(message, field, i));
    }
    return array;
  }

  // A singular value, or an element of a list, which is a string or a message.
  json::value ValueOf(const Message& message, const FieldDescriptor* field, int index) const {
    const Reflection& reflection = *message.GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.GetInt32(message, field);
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.GetInt64(message, field);
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection.GetUInt32(message, field);
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection.GetUInt64(message, field);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return reflection.GetDouble(message, field);
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetBool(message, field);
      case FieldDescriptor::CPPTYPE_ENUM:
        return json::string(EnumName(*field->enum_type(), reflection.GetEnumValue(message, field)));
      case FieldDescriptor::CPPTYPE_STRING:
        return json::string(TextOf(
            index < 0 ? reflection.GetString(message, field) : reflection.GetRepeatedString(message, field, index),
            *field));
      case FieldDescriptor::CPPTYPE_MESSAGE: {
        const Message& value =
            index < 0 ? reflection.GetMessage(message, field) : reflection.GetRepeatedMessage(message, field, index);
        if (!IsDuration(*field)) return ObjectOf(value);
        return ToDuration(static_cast<const google::protobuf::Duration&>(value)).count();
      }
      case FieldDescriptor::CPPTYPE_FLOAT:
        break;  // the project's messages have none, as a test sees
    }
    return nullptr;
  }

  std::string TextOf(const std::string& text, const FieldDescriptor& field) const {
    if (field.type() == FieldDescriptor::TYPE_BYTES) return Digest::Of(text).Hex();
    if (effect_ == Effect::kResult && RulesOf(field).definition_file()) {
      const auto file = files_.find(text);
      return file == files_.end() ? text : Digest::Of(file->second).Hex();
    }
    return text;
  }

  const Effect effect_;
  const Files& files_;
};

}  // namespace

std::string CanonicalFields(const Message& message, Effect effect, const Files& files) {
  const Canonicalizer canonicalizer(effect, files);
  if (effect == Effect::kAny) return CanonicalJson(json::value(canonicalizer.ObjectOf(message)));
  const std::unique_ptr<Message> filled(message.New());
  filled->CopyFrom(message);
  FillDefaults(*filled, AbsentMessages::kLeave);
  return CanonicalJson(json::value(canonicalizer.ObjectOf(*filled)));
}

std::string CanonicalStage(const v1::Pipeline& pipeline, const v1::Stage& stage) {
  const Reflection& reflection = *stage.GetReflection();
  const FieldDescriptor* kind =
      reflection.GetOneofFieldDescriptor(stage, v1::Stage::descriptor()->FindOneofByName("kind"));
  return kind == nullptr ? "{}"
                         : CanonicalFields(reflection.GetMessage(stage, kind), Effect::kResult, pipeline.files());
}

std::string PipelineDigest(const v1::Pipeline& pipeline) {
  v1::Pipeline sorted = pipeline;
  std::stable_sort(sorted.mutable_bindings()->begin(), sorted.mutable_bindings()->end(),
                   [](const v1::Binding& a, const v1::Binding& b) { return a.path() < b.path(); });
  return Digest::Of(CanonicalFields(sorted, Effect::kAny, sorted.files())).Hex();
}

}  // namespace millrace
