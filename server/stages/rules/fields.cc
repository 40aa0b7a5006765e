#include "server/stages/rules/fields.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include <boost/json.hpp>

namespace millrace::rules {
namespace {

namespace json = boost::json;

// Returns the member or element `name` of `parent`; makes an absent member. Null if `parent` can't have it.
json::value* Step(json::value& parent, std::string_view name) {
  if (parent.is_null()) parent.emplace_object();
  if (json::object* object = parent.if_object()) return &(*object)[json::string_view(name.data(), name.size())];
  json::array* array = parent.if_array();
  if (array == nullptr) return nullptr;
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index >= array->size()) return nullptr;
  return &(*array)[index];
}

}  // namespace

Status SetPath(json::value& item, std::string_view path, json::value value) {
  json::value* at = &item;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    at = Step(*at, path.substr(begin, end - begin));
    if (at == nullptr) {
      return MakeError(Reason::kBadItem,
                       fmt::format("{} can't be set: what stands before {} is neither an object nor a list that has it",
                                   path, path.substr(begin, end - begin)));
    }
    begin = end + 1;
  }
  *at = std::move(value);
  return {};
}

json::string Text(std::string_view text) { return json::string(text.data(), text.size()); }

bool IsPath(std::string_view path) {
  return !path.empty() && path.front() != '.' && path.back() != '.' && path.find("..") == std::string_view::npos;
}

}  // namespace millrace::rules
