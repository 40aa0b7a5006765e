#include "server/stages/fetch/row_item.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdint>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/utf8.h"

namespace millrace::fetch {
namespace {

constexpr size_t kIdBytesMax = 256;

json::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::optional<std::string> IdProblem(std::string_view id) {
  if (id.empty()) return "the id is empty";
  if (id.size() > kIdBytesMax) {
    return fmt::format("the id has {} bytes, at most {} are allowed: {}", id.size(), kIdBytesMax, Excerpt(id));
  }
  if (!IsUtf8(id)) return fmt::format("the id is not UTF-8: {}", Excerpt(id));
  for (size_t i = 0; i < id.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(id[i]);
    const bool second_set = c == 0xc2 && static_cast<unsigned char>(id[i + 1]) < 0xa0;  // U+0080 to U+009F
    if (c < 0x20 || c == 0x7f || second_set) {
      return fmt::format("the id has a control character: {}", Excerpt(id));
    }
  }
  return std::nullopt;
}

MemberId IdOfMember(const json::object& item, std::string_view member, const Renames& renames) {
  const json::value* value = item.if_contains(View(member));
  if (value == nullptr) {
    // The member may be named as it will be called.
    for (const auto& [from, to] : renames) {
      if (to == member) value = item.if_contains(View(from));
    }
  }
  MemberId result;
  if (value == nullptr) {
    result.problem = fmt::format("it has no member \"{}\" for its id", Excerpt(member));
  } else if (const json::string* text = IfText(*value)) {
    result.id = std::string(text->data(), text->size());
  } else if (value->is_int64()) {
    result.id = std::to_string(value->get_int64());
  } else if (value->is_uint64()) {
    result.id = std::to_string(value->get_uint64());
  } else if (const auto number = NumberText(*value); number && number->find_first_of(".eE") == std::string_view::npos) {
    result.id = std::string(*number);  // an integer of more than 64 bits
  } else {
    result.problem = fmt::format("the id in \"{}\" is neither text nor a whole number", Excerpt(member));
  }
  if (result.problem.empty()) result.problem = IdProblem(result.id).value_or("");
  return result;
}

StatusOr<std::string> RenameMembers(std::string_view text, const json::object& item, const Renames& renames) {
  bool any = false;
  for (const auto& [from, to] : renames) {
    if (from == to || !item.contains(View(from))) continue;
    any = true;
    // A member that is itself renamed makes room.
    const auto other = renames.find(to);
    if (item.contains(View(to)) && (other == renames.end() || other->second == to)) {
      return MakeError(Reason::kBadItem,
                       fmt::format("renaming \"{}\" gives two members \"{}\"", Excerpt(from), Excerpt(to)));
    }
  }
  if (!any) return std::string(text);
  // The text is valid JSON. Names of the outermost object are the strings at depth 1 that stand before a value.
  std::string out;
  int depth = 0;
  bool is_name = false;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c != '"') {
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (c == '{' || c == ',') is_name = depth == 1;
      out.push_back(c);
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    const std::string_view quoted = text.substr(at, end + 1 - at);
    at = end + 1;
    if (depth == 1 && is_name) {
      is_name = false;
      const json::value name = json::parse(View(quoted));
      const auto found = renames.find(std::string(name.get_string().data(), name.get_string().size()));
      if (found != renames.end()) {
        AppendJsonString(found->second, out);
        continue;
      }
    }
    out += quoted;
  }
  return out;
}

FetchedRow GoodRow(std::string id, std::string json) {
  FetchedRow row;
  row.id = std::move(id);
  row.item.id = row.id;
  row.item.json = std::move(json);
  return row;
}

FetchedRow BadRow(v1::ErrorReason reason, std::string message) {
  FetchedRow row;
  row.item = FailedItem(reason, std::move(message));
  return row;
}

}  // namespace millrace::fetch
