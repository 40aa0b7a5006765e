#include "server/config/schema.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <boost/json.hpp>
#include <memory>
#include <set>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/json.h"
#include "server/config/descriptor_set.h"
#include "server/config/field_value.h"
#include "server/config/reader.h"
#include "server/config/scalar.h"

namespace millrace {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using google::protobuf::SourceLocation;

constexpr char kDurationPattern[] = "^([0-9.]+(d|h|m|s|ms|us|ns))+$";
constexpr char kSizePattern[] = "^[0-9]+(KiB|MiB|GiB|TiB|kB|MB|GB|TB)$";
constexpr char kPercentagePattern[] = "^[0-9.]+%$";
constexpr char kParameterPattern[] = R"(\$\([a-z][a-z0-9_]*\))";

// The descriptors with comments. Built once, then immutable.
const DescriptorPool& PoolWithComments() {
  static const std::unique_ptr<DescriptorPool> pool = [] {
    auto made = std::make_unique<DescriptorPool>();
    google::protobuf::FileDescriptorSet files;
    files.ParseFromArray(kDescriptorSet, static_cast<int>(kDescriptorSetSize));
    for (const auto& file : files.file()) made->BuildFile(file);
    return made;
  }();
  return *pool;
}

std::string OneLine(const std::string& comment) {
  std::string line;
  for (const char c : comment) {
    const bool is_blank = c == '\n' || c == ' ';
    if (is_blank && (line.empty() || line.back() == ' ')) continue;
    line.push_back(is_blank ? ' ' : c);
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

template <typename AnyDescriptor>
std::string CommentIn(const AnyDescriptor* descriptor) {
  SourceLocation location;
  if (descriptor == nullptr || !descriptor->GetSourceLocation(&location)) return "";
  return OneLine(location.leading_comments);
}

json::object Text(std::string_view pattern) { return {{"type", "string"}, {"pattern", pattern}}; }

json::object AnyOf(json::array options) {
  if (options.size() == 1) return std::move(options[0].as_object());
  return {{"anyOf", std::move(options)}};
}

class SchemaWriter {
 public:
  SchemaWriter(const Descriptor* root, Parameters parameters) : has_parameters_(parameters != Parameters::kNone) {
    Define(root);
    schema_["$schema"] = "http://json-schema.org/draft-07/schema#";
    schema_["title"] = root->name();
    schema_["$ref"] = Ref(root);
    schema_["definitions"] = std::move(definitions_);
  }

  json::object Release() { return std::move(schema_); }

 private:
  static std::string Ref(const Descriptor* descriptor) { return "#/definitions/" + descriptor->name(); }

  void Define(const Descriptor* descriptor) {
    if (!defined_.insert(descriptor).second) return;
    definitions_[descriptor->name()] = nullptr;  // its place in the order
    json::array options;
    options.push_back(ObjectForm(descriptor));
    AddShortForms(descriptor, options);
    json::object definition = AnyOf(std::move(options));
    const std::string comment = CommentIn(PoolWithComments().FindMessageTypeByName(descriptor->full_name()));
    if (!comment.empty()) definition["description"] = comment;
    definitions_[descriptor->name()] = std::move(definition);
  }

  json::object ObjectForm(const Descriptor* descriptor) {
    json::object properties;
    json::array required;
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      properties[field->name()] = Property(field);
      if (RulesOf(*field).required()) required.emplace_back(field->name());
    }
    json::object object = {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (!required.empty()) object["required"] = std::move(required);
    json::array choices;
    for (int i = 0; i < descriptor->real_oneof_decl_count(); ++i)
      choices.push_back(ExactlyOne(*descriptor->oneof_decl(i)));
    if (!choices.empty()) object["allOf"] = std::move(choices);
    return object;
  }

  static json::object ExactlyOne(const OneofDescriptor& oneof) {
    json::array choices;
    for (int i = 0; i < oneof.field_count(); ++i) {
      choices.push_back(json::object{{"required", json::array{json::string(oneof.field(i)->name())}}});
    }
    return {{"oneOf", std::move(choices)}};
  }

  void AddShortForms(const Descriptor* descriptor, json::array& options) {
    const v1::ShortForm& form = ShortFormOf(*descriptor);
    const auto add = [&](const std::string& path, json::object option) {
      if (!path.empty()) options.push_back(std::move(option));
    };
    add(form.integer(), {{"type", "integer"}});
    add(form.number(), {{"type", "number"}});
    add(form.percentage(), Text(kPercentagePattern));
    add(form.duration(), Text(kDurationPattern));
    add(form.boolean(), {{"type", "boolean"}});
    // A text, list or mapping stands for a field, and has that field's schema.
    for (const std::string& path : {form.text(), form.list(), form.mapping()}) {
      if (!path.empty()) options.push_back(Value(FieldAt(descriptor, path), false));
    }
    const bool has_scalar = !form.integer().empty() || !form.percentage().empty() || !form.text().empty();
    if (has_parameters_ && has_scalar) options.push_back(Text(kParameterPattern));
  }

  static const FieldDescriptor* FieldAt(const Descriptor* descriptor, std::string_view path) {
    while (true) {
      const size_t dot = path.find('.');
      const FieldDescriptor* field = descriptor->FindFieldByName(std::string(path.substr(0, dot)));
      if (dot == std::string_view::npos) return field;
      descriptor = field->message_type();
      path.remove_prefix(dot + 1);
    }
  }

  json::object Property(const FieldDescriptor* field) {
    json::object property = Value(field, has_parameters_);
    // Draft 7 ignores everything beside $ref.
    if (property.contains("$ref")) property = {{"allOf", json::array{std::move(property)}}};
    if (std::string comment = CommentOf(*field); !comment.empty()) property["description"] = std::move(comment);
    if (const std::string& value = RulesOf(*field).default_value(); !value.empty()) {
      property["default"] = DefaultOf(*field, value);
    }
    return property;
  }

  static json::value DefaultOf(const FieldDescriptor& field, const std::string& value) {
    const bool is_number = field.cpp_type() != FieldDescriptor::CPPTYPE_STRING && KindOf(value) != ScalarKind::kText;
    if (is_number) {
      if (StatusOr<json::value> number = ParseJson(value); number.ok()) return *std::move(number);
    }
    return json::string(value);
  }

  // Returns the schema of a field's value: a list, a mapping or one value.
  json::object Value(const FieldDescriptor* field, bool may_bind) {
    const v1::FieldRules& rules = RulesOf(*field);
    if (field->is_map()) {
      json::object map = {{"type", "object"},
                          {"additionalProperties", Single(field->message_type()->map_value(), may_bind)}};
      if (!rules.pattern().empty()) map["propertyNames"] = {{"pattern", Anchored(rules.pattern())}};
      if (rules.required()) map["minProperties"] = 1;
      if (rules.has_max()) map["maxProperties"] = static_cast<int64_t>(rules.max());
      return map;
    }
    if (!field->is_repeated()) return Single(field, may_bind);
    json::object list = {{"type", "array"}, {"items", Single(field, may_bind)}};
    if (rules.required()) list["minItems"] = 1;
    if (rules.has_max()) list["maxItems"] = static_cast<int64_t>(rules.max());
    const bool is_text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const bool takes_one = is_text || !ShortFormOf(*field->message_type()).text().empty();
    if (!takes_one) return list;
    return {{"anyOf", json::array{std::move(list), Single(field, may_bind)}}};  // one stands for a list of one
  }

  static std::string Anchored(const std::string& pattern) { return "^(?:" + pattern + ")$"; }

  json::object Single(const FieldDescriptor* field, bool may_bind) {
    const v1::FieldRules& rules = RulesOf(*field);
    if (rules.json_text()) return {};
    json::array options;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (!IsDuration(*field)) {
          Define(field->message_type());
          return {{"$ref", Ref(field->message_type())}};
        }
        options.push_back(Text(kDurationPattern));
        break;
      case FieldDescriptor::CPPTYPE_ENUM: {
        json::array names;
        for (const std::string& name : EnumNames(*field->enum_type())) names.emplace_back(name);
        options.push_back(json::object{{"enum", std::move(names)}});
        break;
      }
      case FieldDescriptor::CPPTYPE_BOOL:
        options.push_back(json::object{{"type", "boolean"}});
        break;
      case FieldDescriptor::CPPTYPE_STRING: {
        json::object text = {{"type", "string"}};
        const bool is_list = field->is_repeated();
        if (!rules.pattern().empty()) text["pattern"] = Anchored(rules.pattern());
        if (rules.required() && !is_list) text["minLength"] = 1;
        if (rules.has_max() && !is_list) text["maxLength"] = static_cast<int64_t>(rules.max());
        options.push_back(std::move(text));
        // Any text may hold parameters; the schema must say so only if the field has a pattern.
        if (rules.pattern().empty()) may_bind = false;
        break;
      }
      case FieldDescriptor::CPPTYPE_DOUBLE:
        options.push_back(Number("number", rules));
        options.push_back(Text(kPercentagePattern));
        break;
      default: {
        const bool is_unsigned = field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64 ||
                                 field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
        json::object number = Number("integer", rules);
        if (is_unsigned) number["minimum"] = 0;
        options.push_back(std::move(number));
        options.push_back(Text(kSizePattern));
      }
    }
    if (may_bind) options.push_back(Text(kParameterPattern));
    return AnyOf(std::move(options));
  }

  static json::object Number(std::string_view type, const v1::FieldRules& rules) {
    json::object number = {{"type", type}};
    const auto bound = [](double n) {
      return n == static_cast<double>(static_cast<int64_t>(n)) ? json::value(static_cast<int64_t>(n)) : json::value(n);
    };
    if (rules.has_min()) number["minimum"] = bound(rules.min());
    if (rules.has_max()) number["maximum"] = bound(rules.max());
    return number;
  }

  const bool has_parameters_;
  json::object schema_;
  json::object definitions_;
  std::set<const Descriptor*> defined_;
};

void Indent(const json::value& value, int depth, std::string& out) {
  const std::string line = "\n" + std::string(static_cast<size_t>(depth + 1) * 2, ' ');
  const std::string end = "\n" + std::string(static_cast<size_t>(depth) * 2, ' ');
  bool is_first = true;
  const auto next = [&] {
    out += is_first ? "" : ",";
    out += line;
    is_first = false;
  };
  if (const json::object* object = value.if_object(); object != nullptr && !object->empty()) {
    out.push_back('{');
    for (const auto& member : *object) {
      next();
      out += QuoteJson({member.key().data(), member.key().size()}) + ": ";
      Indent(member.value(), depth + 1, out);
    }
    out += end + "}";
  } else if (const json::array* array = value.if_array();
             array != nullptr && !array->empty() && !array->front().is_string()) {
    out.push_back('[');
    for (const json::value& element : *array) {
      next();
      Indent(element, depth + 1, out);
    }
    out += end + "]";
  } else {
    out += json::serialize(value);
  }
}

std::string SchemaOf(const Descriptor* descriptor, Parameters parameters) {
  std::string out;
  Indent(SchemaWriter(descriptor, parameters).Release(), 0, out);
  return out + "\n";
}

}  // namespace

std::string PipelineSchema() { return SchemaOf(v1::Pipeline::descriptor(), Parameters::kInStages); }
std::string ServerConfigSchema() { return SchemaOf(v1::ServerConfig::descriptor(), Parameters::kNone); }

std::string CommentOf(const FieldDescriptor& field) {
  return CommentIn(PoolWithComments().FindFieldByName(field.full_name()));
}

}  // namespace millrace
