#include "server/base/json.h"

#include <boost/json.hpp>

namespace millrace {

StatusOr<json::value> ParseJson(std::string_view text, const JsonLimits& limits) {
  json::parse_options options;
  options.max_depth = limits.depth;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return MakeError(absl::StatusCode::kInvalidArgument, "NOT_JSON", error.message());
  return value;
}

const json::value* FindPath(const json::value& value, std::string_view path) {
  const json::value* at = &value;
  while (!path.empty()) {
    const size_t dot = path.find('.');
    const std::string_view name = path.substr(0, dot);
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    if (const json::object* object = at->if_object()) {
      at = object->if_contains(json::string_view(name.data(), name.size()));
      if (at == nullptr) return nullptr;
    } else if (const json::array* array = at->if_array()) {
      size_t index = 0;
      if (name.empty()) return nullptr;
      for (const char c : name) {
        if (c < '0' || c > '9' || index > array->size()) return nullptr;
        index = index * 10 + static_cast<size_t>(c - '0');
      }
      if (index >= array->size()) return nullptr;
      at = &(*array)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

}  // namespace millrace
