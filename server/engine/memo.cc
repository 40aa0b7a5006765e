#include "server/engine/memo.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <utility>
#include <vector>

#include "millrace/v1/options.pb.h"
#include "server/base/json.h"
#include "server/stages/stage.h"
#include "server/storage/memos.h"

namespace millrace {
namespace {

namespace pb = google::protobuf;

json::string_view View(std::string_view text) { return {text.data(), text.size()}; }

json::value FileDigest(const std::string& path, const v1::Pipeline& pipeline) {
  const auto file = pipeline.files().find(path);
  return json::value(View(file == pipeline.files().end() ? "" : Digest::Of(file->second).Hex()));
}

// One value of a field; `index` -1: of a field that is not repeated.
json::value ValueOf(const pb::Message& message, const pb::FieldDescriptor& field, int index,
                    const v1::Pipeline& pipeline) {
  const pb::Reflection& reflection = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return repeated ? reflection.GetRepeatedInt32(message, &field, index) : reflection.GetInt32(message, &field);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return repeated ? reflection.GetRepeatedInt64(message, &field, index) : reflection.GetInt64(message, &field);
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? reflection.GetRepeatedUInt32(message, &field, index) : reflection.GetUInt32(message, &field);
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return repeated ? reflection.GetRepeatedUInt64(message, &field, index) : reflection.GetUInt64(message, &field);
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return repeated ? reflection.GetRepeatedDouble(message, &field, index) : reflection.GetDouble(message, &field);
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return repeated ? reflection.GetRepeatedFloat(message, &field, index) : reflection.GetFloat(message, &field);
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return repeated ? reflection.GetRepeatedBool(message, &field, index) : reflection.GetBool(message, &field);
    case pb::FieldDescriptor::CPPTYPE_ENUM: {
      const pb::EnumValueDescriptor* value =
          repeated ? reflection.GetRepeatedEnum(message, &field, index) : reflection.GetEnum(message, &field);
      return json::value(View(value->name()));
    }
    case pb::FieldDescriptor::CPPTYPE_STRING: {
      const std::string text =
          repeated ? reflection.GetRepeatedString(message, &field, index) : reflection.GetString(message, &field);
      if (field.options().GetExtension(v1::spec).definition_file()) return FileDigest(text, pipeline);
      return json::value(View(text));
    }
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      return ResultFields(repeated ? reflection.GetRepeatedMessage(message, &field, index)
                                   : reflection.GetMessage(message, &field),
                          pipeline);
  }
  return nullptr;
}

// A map's entries: by key, whatever order the message holds them in.
json::value MapOf(const pb::Message& message, const pb::FieldDescriptor& field, const v1::Pipeline& pipeline) {
  const pb::Reflection& reflection = *message.GetReflection();
  const pb::FieldDescriptor& key_field = *field.message_type()->map_key();
  const pb::FieldDescriptor& value_field = *field.message_type()->map_value();
  std::map<std::string, json::value> sorted;
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    const pb::Message& entry = reflection.GetRepeatedMessage(message, &field, i);
    const json::value key = ValueOf(entry, key_field, -1, pipeline);
    const std::string name = key.is_string() ? std::string(key.as_string().c_str(), key.as_string().size())
                                             : CanonicalJson(key);
    sorted.emplace(name, ValueOf(entry, value_field, -1, pipeline));
  }
  json::object object;
  for (auto& [name, value] : sorted) object.emplace(View(name), std::move(value));
  return object;
}

}  // namespace

json::value ResultFields(const pb::Message& message, const v1::Pipeline& pipeline) {
  json::object object;
  const pb::Descriptor& type = *message.GetDescriptor();
  const pb::Reflection& reflection = *message.GetReflection();
  const bool ours = type.file()->package() == "millrace.v1";
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor& field = *type.field(i);
    // Messages of others (Duration) have no effects of their own: the field that holds them decides.
    if (ours && field.options().GetExtension(v1::spec).effect() != v1::FIELD_EFFECT_RESULT) continue;
    if (field.is_map()) {
      if (reflection.FieldSize(message, &field) > 0) object[View(field.name())] = MapOf(message, field, pipeline);
    } else if (field.is_repeated()) {
      const int size = reflection.FieldSize(message, &field);
      if (size == 0) continue;
      json::array values;
      for (int k = 0; k < size; ++k) values.push_back(ValueOf(message, field, k, pipeline));
      object[View(field.name())] = std::move(values);
    } else if (reflection.HasField(message, &field)) {
      object[View(field.name())] = ValueOf(message, field, -1, pipeline);
    }
  }
  return object;
}

StatusOr<Digest> ItemDigest(std::string_view text) {
  MR_ASSIGN_OR_RETURN(const std::string canonical, CanonicalJson(text));
  return Digest::Of(canonical);
}

MemoRules::MemoRules(const v1::Pipeline& pipeline, const v1::Stage& stage, int semantics_version,
                     std::string_view models, std::string run, bool refresh)
    : run_(std::move(run)), mode_(stage.cache().mode()) {
  if (mode_ == v1::CachePolicy::MODE_UNSPECIFIED) mode_ = v1::CachePolicy::MODE_USE;
  if (refresh && mode_ == v1::CachePolicy::MODE_USE) mode_ = v1::CachePolicy::MODE_REFRESH;
  if (stage.cache().has_ttl()) {
    ttl_micros_ = stage.cache().ttl().seconds() * 1'000'000 + stage.cache().ttl().nanos() / 1000;
  }
  const std::string kind = KindName(stage);
  std::string definition = "{}";
  if (const pb::FieldDescriptor* field = v1::Stage::descriptor()->FindFieldByName(kind)) {
    definition = CanonicalJson(ResultFields(stage.GetReflection()->GetMessage(stage, field), pipeline));
  }
  base_ = Digester()
              .AddPart("millrace-memo-1")
              .AddPart(kind)
              .AddNumber(static_cast<uint64_t>(semantics_version))
              .AddPart(definition)
              .AddPart(models)
              .Finish();
}

Digest MemoRules::KeyOf(std::string_view id, const Digest& input) const {
  return Digester().Add(base_.bytes()).AddPart(id).Add(input.bytes()).Finish();
}

std::string MemoRules::StoreKey(const Digest& key) const { return shared() ? MemoKey(key) : RunMemoKey(run_, key); }

bool MemoRules::Accepts(const storage::v1::MemoRecord& record, int64_t now_micros) const {
  if (record.run() == run_) return true;
  if (mode_ != v1::CachePolicy::MODE_USE) return false;
  // A clock that was set back makes a result look younger, never older.
  return !ttl_micros_ || now_micros - record.time_micros() <= *ttl_micros_;
}

}  // namespace millrace
