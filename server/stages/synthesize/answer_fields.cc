#include "server/stages/synthesize/answer_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/text/nearest.h"

namespace millrace {
namespace {

// Returns true if the schema has a part that can add fields which this file does not follow.
bool IsOpen(const json::object& schema) {
  for (const char* keyword : {"$ref", "allOf", "anyOf", "oneOf", "if", "not", "patternProperties", "const", "enum"}) {
    if (schema.contains(keyword)) return true;
  }
  const json::value* others = schema.if_contains("additionalProperties");
  return others != nullptr && others->is_object();
}

FieldTree FieldsOfSchema(const json::value& value) {
  const json::object* schema = value.if_object();
  if (schema == nullptr) return FieldTree::Any();
  const json::value* type = schema->if_contains("type");
  const json::string* name = type == nullptr ? nullptr : type->if_string();
  if (name != nullptr && *name != "object" && *name != "array") return FieldTree();  // a text, a number, …
  if (IsOpen(*schema)) return FieldTree::Any();
  const json::value* properties = schema->if_contains("properties");
  if (properties != nullptr && properties->is_object() && (name == nullptr || *name == "object")) {
    FieldTree fields;
    for (const json::key_value_pair& property : properties->get_object()) {
      fields.Member({property.key().data(), property.key().size()}) = FieldsOfSchema(property.value());
    }
    return fields;
  }
  const json::value* items = schema->if_contains("items");
  if (items != nullptr && items->is_object() && name != nullptr && *name == "array") {
    return FieldTree::ListOf(FieldsOfSchema(*items));
  }
  return FieldTree::Any();
}

// Keywords of JSON Schema, draft 7.
const std::vector<std::string>& Keywords() {
  static const std::vector<std::string> keywords = {"$schema",
                                                    "$id",
                                                    "$ref",
                                                    "$comment",
                                                    "title",
                                                    "description",
                                                    "default",
                                                    "examples",
                                                    "readOnly",
                                                    "writeOnly",
                                                    "multipleOf",
                                                    "maximum",
                                                    "minimum",
                                                    "exclusiveMaximum",
                                                    "minLength",
                                                    "maxLength",
                                                    "pattern",
                                                    "exclusiveMinimum",
                                                    "items",
                                                    "maxItems",
                                                    "additionalItems",
                                                    "minItems",
                                                    "contains",
                                                    "uniqueItems",
                                                    "maxProperties",
                                                    "required",
                                                    "properties",
                                                    "minProperties",
                                                    "enum",
                                                    "const",
                                                    "propertyNames",
                                                    "patternProperties",
                                                    "type",
                                                    "format",
                                                    "additionalProperties",
                                                    "if",
                                                    "then",
                                                    "else",
                                                    "allOf",
                                                    "anyOf",
                                                    "oneOf",
                                                    "contentMediaType",
                                                    "not",
                                                    "$defs",
                                                    "definitions",
                                                    "dependencies",
                                                    "contentEncoding"};
  return keywords;
}

void CollectDoubts(const json::value& value, std::vector<std::string>& doubts) {
  constexpr size_t kDoubtsMax = 20;
  const json::object* schema = value.if_object();
  if (schema == nullptr || doubts.size() >= kDoubtsMax) return;
  std::vector<std::string> names;
  const json::value* properties = schema->if_contains("properties");
  const bool has_names = properties != nullptr && properties->is_object();
  if (has_names) {
    for (const json::key_value_pair& each : properties->get_object())
      names.emplace_back(each.key().data(), each.key().size());
  }
  const json::value* required = schema->if_contains("required");
  if (has_names && required != nullptr && required->is_array()) {
    for (const json::value& each : required->get_array()) {
      if (!each.is_string()) continue;
      const std::string name(each.get_string().data(), each.get_string().size());
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      doubts.push_back(
          fmt::format("`required` names \"{}\", which `properties` lack{}", Excerpt(name), DidYouMean(name, names)));
    }
  }
  for (const json::key_value_pair& each : *schema) {
    const std::string keyword(each.key().data(), each.key().size());
    const std::vector<std::string>& known = Keywords();
    if (std::find(known.begin(), known.end(), keyword) == known.end()) {
      const std::string nearest = NearestName(keyword, known);
      if (!nearest.empty() && !keyword.starts_with("x-")) {
        doubts.push_back(
            fmt::format("\"{}\" is not a keyword of JSON Schema; did you mean \"{}\"?", Excerpt(keyword), nearest));
      }
    } else if (keyword == "items" || keyword == "additionalProperties" || keyword == "contains") {
      CollectDoubts(each.value(), doubts);
    } else if (keyword == "allOf" || keyword == "anyOf" || keyword == "oneOf") {
      if (!each.value().is_array()) continue;
      for (const json::value& part : each.value().get_array()) CollectDoubts(part, doubts);
    } else if (keyword == "properties" || keyword == "definitions" || keyword == "$defs") {
      if (!each.value().is_object()) continue;
      for (const json::key_value_pair& part : each.value().get_object()) CollectDoubts(part.value(), doubts);
    }
  }
}

}  // namespace

std::vector<std::string> SchemaDoubts(std::string_view schema) {
  std::vector<std::string> doubts;
  const StatusOr<json::value> value = ParseJson(schema);
  if (value.ok()) CollectDoubts(*value, doubts);
  return doubts;
}

FieldTree AnswerFields(std::string_view schema) {
  const StatusOr<json::value> value = ParseJson(schema);
  return value.ok() ? FieldsOfSchema(*value) : FieldTree::Any();
}

}  // namespace millrace
