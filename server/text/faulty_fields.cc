#include "server/text/faulty_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <utility>
#include <vector>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/work_meter.h"
#include "server/text/salvage.h"
#include "server/text/schema.h"

namespace millrace {
namespace {

constexpr size_t kPropertiesMax = 200;
constexpr Duration kCpuMax = std::chrono::seconds(2);
constexpr int64_t kStepsPerField = 20'000;  // of compiling, so that the CPU time is looked at for each
// Bytes of all faults together: their tokens are paid for.
constexpr size_t kFaultsBytesMax = 2u << 10;

// Keywords of a root schema under which each field can be judged by itself.
constexpr std::array<std::string_view, 12> kIndependent = {
    "type", "properties", "required", "additionalProperties", "definitions", "$defs", "title", "description", "$schema",
    "$id",  "$comment",   "examples"};

// Returns whether a reference in `schema` would mean something else if fields were left out of the root.
bool RefersToRoot(const json::value& schema) {
  if (const json::array* list = schema.if_array()) return std::any_of(list->begin(), list->end(), RefersToRoot);
  const json::object* object = schema.if_object();
  if (object == nullptr) return false;
  return std::any_of(object->begin(), object->end(), [](const auto& member) {
    if (member.key() != "$ref" || !member.value().is_string()) return RefersToRoot(member.value());
    const std::string_view to = member.value().get_string();
    return !to.starts_with("#/definitions/") && !to.starts_with("#/$defs/");
  });
}

// Returns the schema's root if its fields can be judged one by one.
std::optional<json::object> IndependentRoot(std::string_view schema) {
  StatusOr<json::value> root = ParseExact(schema);
  if (!root.ok() || !root->is_object() || RefersToRoot(*root)) return std::nullopt;
  json::object& object = root->get_object();
  const json::value* type = object.if_contains("type");
  const json::value* properties = object.if_contains("properties");
  if (type == nullptr || *type != "object" || properties == nullptr || !properties->is_object()) return std::nullopt;
  if (properties->get_object().size() > kPropertiesMax) return std::nullopt;
  const bool is_independent = std::all_of(object.begin(), object.end(), [](const auto& member) {
    const std::string_view key = member.key();
    return key.starts_with("x-") || std::find(kIndependent.begin(), kIndependent.end(), key) != kIndependent.end();
  });
  if (!is_independent) return std::nullopt;
  return std::move(object);
}

// Returns the only object among the candidates of the likeliest way that has one.
std::optional<json::object> OnlyObject(std::string_view answer) {
  for (const JsonCandidates& candidates : FindJson(answer)) {
    std::optional<json::value> found;
    for (const std::string_view candidate : candidates) {
      StatusOr<json::value> value = ParseExact(candidate, {.depth = kOutsideDepthMax});
      if (!value.ok() || !value->is_object()) continue;
      if (found && !EqualJson(*found, *value)) return std::nullopt;
      found = *std::move(value);
    }
    if (found) return std::move(found->get_object());
  }
  return std::nullopt;
}

// Returns the schema of an object that has these fields of `root` and no others.
json::object SchemaOf(const json::object& root, const std::vector<std::string>& names) {
  json::object schema = root;
  json::object properties;
  json::array required;
  for (const std::string& name : names) {
    properties[name] = root.at("properties").at(name);
    required.push_back(json::value(name));
  }
  schema["properties"] = std::move(properties);
  schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema;
}

// Returns the fault of one field that the answer has; OK if it fits.
Status CheckField(const json::object& root, const std::string& name, const json::value& value) {
  MR_ASSIGN_OR_RETURN(const Schema schema, Schema::Parse(WriteJson(SchemaOf(root, {name}))));
  return schema.Check(json::object{{name, value}});
}

}  // namespace

std::optional<FaultyFields> FindFaultyFields(std::string_view answer, std::string_view schema) {
  const std::optional<json::object> root = IndependentRoot(schema);
  const std::optional<json::object> object = root ? OnlyObject(answer) : std::nullopt;
  if (!object) return std::nullopt;
  const json::object& properties = root->at("properties").get_object();
  const json::value* more = root->if_contains("additionalProperties");
  for (const auto& member : *object) {
    // A field that the schema has no property for is judged only by a model that sees the whole schema.
    if (!properties.contains(member.key()) && more != nullptr && *more != true) return std::nullopt;
  }

  const json::value* required = root->if_contains("required");
  std::vector<std::string> faulty;
  size_t fitting = 0;
  std::string faults;
  // Every field compiles a schema of its own.
  WorkMeter meter({.cpu = kCpuMax, .name = "the search for faulty fields", .reason = Reason::kSchema});
  for (const auto& property : properties) {
    if (!meter.Spend(kStepsPerField)) return std::nullopt;
    const std::string name(property.key());
    Status fault;
    if (const json::value* value = object->if_contains(name)) {
      fault = CheckField(*root, name, *value);
      if (fault.ok()) ++fitting;
    } else if (required != nullptr && required->is_array() &&
               std::find(required->get_array().begin(), required->get_array().end(), json::value(name)) !=
                   required->get_array().end()) {
      fault = MakeError(Reason::kSchema, "is missing");
    }
    if (fault.ok()) continue;
    faulty.push_back(name);
    if (faults.size() < kFaultsBytesMax) faults += fmt::format("- `{}`: {}\n", name, Excerpt(MessageOf(fault), 300));
  }
  if (faulty.empty() || fitting == 0 || !meter.status().ok()) return std::nullopt;
  return FaultyFields{
      .answer = WriteJson(*object), .schema = WriteJson(SchemaOf(*root, faulty)), .faults = std::move(faults)};
}

StatusOr<std::string> WithFields(std::string_view answer, std::string_view fields) {
  MR_ASSIGN_OR_RETURN(json::value whole, ParseExact(answer, {.depth = kOutsideDepthMax}));
  MR_ASSIGN_OR_RETURN(json::value part, ParseExact(fields, {.depth = kOutsideDepthMax}));
  if (!whole.is_object() || !part.is_object()) return MakeError(Reason::kNotJson, "the answer is not a JSON object");
  for (auto& member : part.get_object()) whole.get_object()[member.key()] = std::move(member.value());
  return WriteJson(whole);
}

}  // namespace millrace
