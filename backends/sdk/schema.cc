#include "backends/sdk/schema.h"

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/utf8.h"

namespace millrace::backend {
namespace {

constexpr int kReferencesMax = 16;
constexpr std::string_view kAnnotation = "x-millrace-local";

json::string_view View(std::string_view text) { return {text.data(), text.size()}; }

const json::object& Nothing() {
  static const auto* const kNothing = new json::object();
  return *kNothing;
}

// Resolves a reference such as `#/definitions/name`; null if it has another form or its target does not exist.
const json::value* FindReference(const json::value& root, std::string_view reference) {
  if (reference == "#") return &root;
  if (!reference.starts_with("#/")) return nullptr;
  json::error_code error;
  return root.find_pointer(View(reference.substr(1)), error);
}

void Strip(json::value& value) {
  if (json::array* list = value.if_array()) {
    for (json::value& element : *list) Strip(element);
  } else if (json::object* object = value.if_object()) {
    const auto found = object->find(View(kAnnotation));
    if (found != object->end()) object->stable_erase(found);
    for (json::key_value_pair& member : *object) Strip(member.value());
  }
}

}  // namespace

const json::object* SchemaAt(const json::value& root, const json::value& node) {
  const json::value* at = &node;
  for (int i = 0; i < kReferencesMax; ++i) {
    const json::object* object = at->if_object();
    if (object == nullptr) return &Nothing();
    const json::value* next = nullptr;
    if (const json::value* reference = object->if_contains("$ref"); reference && reference->is_string()) {
      const json::string& text = reference->get_string();
      next = FindReference(root, {text.data(), text.size()});
      if (next == nullptr) return &Nothing();
    }
    for (const char* keyword : {"anyOf", "oneOf", "allOf"}) {
      if (next != nullptr || object->contains("type") || object->contains("properties")) break;
      const json::value* list = object->if_contains(keyword);
      if (list != nullptr && list->is_array() && !list->get_array().empty()) next = &list->get_array()[0];
    }
    if (next == nullptr) return object;
    at = next;
  }
  return &Nothing();
}

std::string_view TypeOf(const json::object& schema) {
  const json::value* type = schema.if_contains("type");
  if (type != nullptr && type->is_array()) {
    for (const json::value& entry : type->get_array()) {
      if (entry.is_string() && entry.get_string() != "null") return entry.get_string();
    }
    if (!type->get_array().empty()) return "null";
  }
  if (type != nullptr && type->is_string()) return type->get_string();
  if (schema.contains("properties") || schema.contains("required")) return "object";
  if (schema.contains("items")) return "array";
  if (schema.contains("minimum") || schema.contains("maximum")) return "number";
  return "string";
}

int64_t CountOf(const json::object& schema, std::string_view keyword, int64_t otherwise) {
  constexpr int64_t kMax = 1'000'000;
  const json::value* value = schema.if_contains(View(keyword));
  if (value == nullptr || !value->is_int64()) return otherwise;
  const int64_t count = value->get_int64();
  return count < 0 || count > kMax ? otherwise : count;
}

std::string CutAt(std::string_view text, int64_t characters) {
  size_t end = 0;
  size_t space = 0;
  for (int64_t count = 0; end < text.size() && count < characters; ++count) {
    if (text[end] == ' ') space = end;
    end = NextCharacter(text, end);
  }
  if (end < text.size() && text[end] != ' ' && space > end / 2) end = space;
  return std::string(text.substr(0, end));
}

std::string WithoutLocalAnnotations(std::string_view schema) {
  if (schema.find(kAnnotation) == std::string_view::npos) return std::string(schema);
  auto value = ParseJson(schema);
  if (!value.ok()) return std::string(schema);
  Strip(*value);
  return json::serialize(*value);
}

}  // namespace millrace::backend
