#include "server/base/json.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

#include "server/base/canonical_json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

// Treatment of numbers that are not integers of 64 bits.
enum class Numbers { kDoubles, kExact };

// Handler of Boost.JSON's parser that builds a value. Unlike Boost.JSON's own handler, it converts numbers itself
// (Boost.JSON 1.81 is sometimes wrong by a unit in the last place, and reads 1e400 as infinity), and counts members,
// because Boost.JSON silently keeps the last of several members with one name.
template <Numbers numbers>
class ValueBuilder {
 public:
  static constexpr size_t max_object_size = json::object::max_size();
  static constexpr size_t max_array_size = json::array::max_size();
  static constexpr size_t max_key_size = json::string::max_size();
  static constexpr size_t max_string_size = json::string::max_size();

  bool on_document_begin(json::error_code&) {
    stack_.reset();
    return true;
  }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(size_t n, json::error_code&) {
    members_ += n;
    stack_.push_object(n);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(size_t n, json::error_code&) {
    stack_.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view part, size_t, json::error_code&) { return Push(part); }
  bool on_key(json::string_view key, size_t, json::error_code&) {
    stack_.push_key(key);
    return true;
  }
  bool on_string_part(json::string_view part, size_t, json::error_code&) { return Push(part); }
  bool on_string(json::string_view text, size_t, json::error_code&) {
    stack_.push_string(text);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t number, json::string_view text, json::error_code&) {
    if (numbers == Numbers::kExact && number == 0 && text.size() > 1) return PushText(text);  // -0
    stack_.push_int64(number);
    return true;
  }
  bool on_uint64(uint64_t number, json::string_view text, json::error_code&) {
    if (numbers == Numbers::kExact) return PushText(text);
    stack_.push_uint64(number);
    return true;
  }
  bool on_double(double, json::string_view text, json::error_code& error) {
    if (numbers == Numbers::kExact) return PushText(text);
    const std::optional<double> number = NearestDouble({text.data(), text.size()});
    if (!number) {
      error = json::error::exponent_overflow;
      return false;
    }
    stack_.push_double(*number);
    return true;
  }
  bool on_bool(bool truth, json::error_code&) {
    stack_.push_bool(truth);
    return true;
  }
  bool on_null(json::error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  json::value Release() { return stack_.release(); }
  size_t members() const { return members_; }

 private:
  bool Push(json::string_view part) {
    stack_.push_chars(part);
    return true;
  }
  bool PushText(json::string_view number) {
    stack_.push_chars({&kNumberMark, 1});
    stack_.push_string(number);
    return true;
  }

  json::value_stack stack_;
  size_t members_ = 0;
};

// Returns the number of members of all objects in a value. Recursion is bounded, because the depth of a parsed value
// is.
size_t CountMembers(const json::value& value) {
  size_t count = 0;
  if (const json::object* object = value.if_object()) {
    count = object->size();
    for (const auto& member : *object) count += CountMembers(member.value());
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) count += CountMembers(element);
  }
  return count;
}

template <Numbers numbers>
StatusOr<json::value> Parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) return JsonTooLarge(text.size(), limits);
  json::parse_options options;
  options.max_depth = limits.depth;
  json::basic_parser<ValueBuilder<numbers>> parser(options);
  json::error_code error;
  const size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (error) return NotJson(read, error.message());
  if (read < text.size()) return NotJson(read, "text follows the value");
  json::value value = parser.handler().Release();
  if (parser.handler().members() != CountMembers(value)) {
    // A second reading finds which name is the duplicate.
    const StatusOr<std::string> canonical = CanonicalJson(text, limits);
    return canonical.ok() ? NotJson(0, "an object has a duplicate name") : canonical.status();
  }
  return value;
}

void Append(const json::value& value, std::string& out);

void Append(const json::object& object, std::string& out) {
  char separator = '{';
  for (const json::key_value_pair& member : object) {
    out.push_back(std::exchange(separator, ','));
    AppendJsonString({member.key().data(), member.key().size()}, out);
    out.push_back(':');
    Append(member.value(), out);
  }
  if (object.empty()) out.push_back('{');
  out.push_back('}');
}

template <typename Integer>
void AppendInteger(Integer number, std::string& out) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

void Append(const json::value& value, std::string& out) {
  switch (value.kind()) {
    case json::kind::object:
      return Append(value.get_object(), out);
    case json::kind::array: {
      char separator = '[';
      for (const json::value& element : value.get_array()) {
        out.push_back(std::exchange(separator, ','));
        Append(element, out);
      }
      if (value.get_array().empty()) out.push_back('[');
      out.push_back(']');
      return;
    }
    case json::kind::string: {
      const json::string& text = value.get_string();
      if (const std::optional<std::string_view> number = NumberText(value)) {
        out += *number;
      } else {
        AppendJsonString({text.data(), text.size()}, out);
      }
      return;
    }
    case json::kind::int64:
      return AppendInteger(value.get_int64(), out);
    case json::kind::uint64:
      return AppendInteger(value.get_uint64(), out);
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::null:
      out += "null";
      return;
    case json::kind::double_:
      out += CanonicalJson(value);
      return;
  }
}

}  // namespace

json::value ParseOwnJson(std::string_view text) {
  StatusOr<json::value> value = ParseExact(text, {.depth = SIZE_MAX, .bytes = SIZE_MAX});
  return value.ok() ? *std::move(value) : json::value();
}

StatusOr<json::value> ParseJson(std::string_view text, const JsonLimits& limits) {
  return Parse<Numbers::kDoubles>(text, limits);
}

StatusOr<json::value> ParseExact(std::string_view text, const JsonLimits& limits) {
  return Parse<Numbers::kExact>(text, limits);
}

std::string WriteJson(const json::value& value) {
  std::string out;
  Append(value, out);
  return out;
}

std::string WriteJson(const json::object& object) {
  std::string out;
  Append(object, out);
  return out;
}

const json::value* FindMember(const json::object& object, std::string_view& path) {
  const auto find = [&](size_t end) { return object.if_contains(json::string_view(path.data(), end)); };
  const json::value* found = find(path.size());
  size_t end = path.size();
  if (found == nullptr && path.size() > kDottedPathMax) {
    end = path.find('.');
    if (end != std::string_view::npos) found = find(end);
  }
  while (found == nullptr && end <= kDottedPathMax && end > 0) {
    end = path.rfind('.', end - 1);
    if (end != std::string_view::npos) found = find(end);
  }
  if (found != nullptr) path = end < path.size() ? path.substr(end + 1) : std::string_view();
  return found;
}

const json::value* FindPath(const json::value& value, std::string_view path) {
  const json::value* at = &value;
  while (!path.empty()) {
    if (const json::object* object = at->if_object()) {
      at = FindMember(*object, path);
      if (at == nullptr) return nullptr;
    } else if (const json::array* array = at->if_array()) {
      const size_t dot = path.find('.');
      const std::string_view name = path.substr(0, dot);
      path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
      size_t index = 0;
      const std::from_chars_result result = std::from_chars(name.data(), name.data() + name.size(), index);
      if (result.ec != std::errc() || result.ptr != name.data() + name.size() || index >= array->size()) return nullptr;
      at = &(*array)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

}  // namespace millrace
