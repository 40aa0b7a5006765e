#include "server/stages/rules/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"

namespace millrace::rules {
namespace {

namespace json = boost::json;

// Returns the element `name` of a list; null if it has none.
json::value* ElementOf(json::array& list, std::string_view name) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index >= list.size()) return nullptr;
  return &list[index];
}

}  // namespace

Status SetPath(json::value& item, std::string_view path, json::value value) {
  json::value* at = &item;
  std::string_view rest = path;
  while (!rest.empty()) {
    if (at->is_null()) at->emplace_object();
    const std::string_view name = rest.substr(0, rest.find('.'));
    if (json::object* object = at->if_object()) {
      // The member that FindPath finds, so that a rule writes where it has read.
      if (const json::value* member = FindMember(*object, rest)) {
        at = const_cast<json::value*>(member);
        continue;
      }
      at = &(*object)[json::string_view(name.data(), name.size())];
    } else {
      json::array* list = at->if_array();
      at = list == nullptr ? nullptr : ElementOf(*list, name);
    }
    if (at == nullptr) {
      return MakeError(Reason::kBadItem,
                       fmt::format("{} can't be set: what stands before {} is neither an object nor a list that has it",
                                   path, name));
    }
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
  }
  *at = std::move(value);
  return {};
}

json::string Text(std::string_view text) { return json::string(text.data(), text.size()); }

bool IsPath(std::string_view path) {
  return !path.empty() && path.front() != '.' && path.back() != '.' && path.find("..") == std::string_view::npos;
}

}  // namespace millrace::rules
