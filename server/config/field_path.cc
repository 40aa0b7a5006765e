#include "server/config/field_path.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "server/text/nearest.h"

namespace millrace {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsName(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Status PathError(std::string_view what) { return MakeError(Reason::kInvalidDefinition, what); }

// A part of a path: a name, a number in brackets, or a quoted key in brackets.
struct Step {
  std::string name;
  std::optional<size_t> index;
};

StatusOr<std::vector<Step>> SplitPath(std::string_view path) {
  const auto bad = [&] {
    return PathError(fmt::format("\"{}\" is not a path such as stages[0].fetch.csv.path", Excerpt(path)));
  };
  std::vector<Step> steps;
  size_t at = 0;
  while (at < path.size()) {
    if (path[at] != '[') {
      if (!steps.empty() && path[at++] != '.') return bad();
      const size_t end = std::min(path.find_first_of(".[", at), path.size());
      if (end == at) return bad();
      steps.push_back({std::string(path.substr(at, end - at)), std::nullopt});
      at = end;
      continue;
    }
    if (++at < path.size() && path[at] == '"') {
      std::string key;
      for (++at; at < path.size() && path[at] != '"'; ++at) {
        if (path[at] == '\\' && ++at == path.size()) return bad();
        key.push_back(path[at]);
      }
      if (path.substr(std::min(at, path.size()), 2) != "\"]") return bad();
      at += 2;
      steps.push_back({std::move(key), std::nullopt});
      continue;
    }
    size_t index = 0;
    const std::from_chars_result result = std::from_chars(path.data() + at, path.data() + path.size(), index);
    at = static_cast<size_t>(result.ptr - path.data());
    if (result.ec != std::errc() || at >= path.size() || path[at] != ']') return bad();
    ++at;
    steps.push_back({"", index});
  }
  return steps;
}

std::vector<std::string> FieldNames(const Descriptor& descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor.field_count(); ++i) names.push_back(descriptor.field(i)->name());
  return names;
}

// Returns the entry of a map with this key; null if there is none.
Message* FindEntry(Message& message, const FieldDescriptor* field, const std::string& key) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    Message* entry = reflection.MutableRepeatedMessage(&message, field, i);
    if (entry->GetReflection()->GetString(*entry, entry->GetDescriptor()->map_key()) == key) return entry;
  }
  return nullptr;
}

}  // namespace

Message* FieldRef::MutableMessage() const {
  const Reflection& reflection = *message->GetReflection();
  return index < 0 ? reflection.MutableMessage(message, field)
                   : reflection.MutableRepeatedMessage(message, field, index);
}

std::string PathOfField(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

std::string PathOfElement(std::string_view list, size_t index) { return fmt::format("{}[{}]", list, index); }

std::string PathOfEntry(std::string_view map, std::string_view key) {
  if (IsName(key)) return PathOfField(map, key);
  std::string quoted;
  for (const char c : key) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return fmt::format("{}[\"{}\"]", map, quoted);
}

StatusOr<std::vector<FieldRef>> ResolvePath(Message& message, std::string_view path) {
  MR_ASSIGN_OR_RETURN(const std::vector<Step> steps, SplitPath(path));
  if (steps.empty()) return PathError("the path is empty");
  std::vector<FieldRef> slots;
  Message* at = &message;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (at == nullptr || steps[i].index) return PathError(fmt::format("\"{}\" continues after a value", Excerpt(path)));
    const Descriptor& descriptor = *at->GetDescriptor();
    const FieldDescriptor* field = descriptor.FindFieldByName(steps[i].name);
    if (field == nullptr) {
      return PathError(fmt::format("\"{}\" has no \"{}\"{}", Excerpt(path), Excerpt(steps[i].name),
                                   DidYouMean(steps[i].name, FieldNames(descriptor))));
    }
    if (const auto* oneof = field->real_containing_oneof()) {
      const FieldDescriptor* set = at->GetReflection()->GetOneofFieldDescriptor(*at, oneof);
      if (set != nullptr && set != field) {
        return PathError(fmt::format("\"{}\": {} is set instead of {}", Excerpt(path), set->name(), field->name()));
      }
    }
    FieldRef slot{at, field, -1};
    if (field->is_map()) {
      if (i + 1 == steps.size())
        return PathError(fmt::format("\"{}\" is a mapping; name one of its keys", Excerpt(path)));
      Message* entry = steps[i + 1].index ? nullptr : FindEntry(*at, field, steps[i + 1].name);
      if (entry == nullptr) return PathError(fmt::format("\"{}\" has no such key", Excerpt(path)));
      slot = {entry, entry->GetDescriptor()->map_value(), -1};
      ++i;
    } else if (field->is_repeated()) {
      if (i + 1 == steps.size() || !steps[i + 1].index) {
        return PathError(fmt::format("\"{}\" is a list; name an element, such as [0]", Excerpt(path)));
      }
      const size_t index = *steps[++i].index;
      const int size = at->GetReflection()->FieldSize(*at, field);
      if (index >= static_cast<size_t>(size)) {
        return PathError(fmt::format("\"{}\": the list has {} elements", Excerpt(path), size));
      }
      slot.index = static_cast<int>(index);
    }
    slots.push_back(slot);
    // Only messages that the path goes through are made.
    const bool is_message = slot.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    at = is_message && i + 1 < steps.size() ? slot.MutableMessage() : nullptr;
  }
  return slots;
}

}  // namespace millrace
