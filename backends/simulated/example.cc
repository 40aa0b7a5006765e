#include <boost/json.hpp>

#include "backends/simulated/simulated.h"
#include "server/base/json.h"
#include "server/base/random.h"

namespace millrace::backend {
namespace {

constexpr int kDepthMax = 16;
constexpr size_t kItemsMax = 100;

const json::value* Member(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

double NumberMember(const json::object& schema, std::string_view name, double otherwise) {
  const json::value* value = Member(schema, name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : otherwise;
}

// Counts the texts of an example, among which the bytes are divided.
size_t CountTexts(const json::value& schema_value, int depth) {
  const json::object* schema = schema_value.if_object();
  if (schema == nullptr || depth > kDepthMax) return 1;
  size_t count = 0;
  if (const json::value* properties = Member(*schema, "properties"); properties != nullptr && properties->is_object()) {
    for (const auto& member : properties->get_object()) count += CountTexts(member.value(), depth + 1);
  }
  return count == 0 ? 1 : count;
}

class Maker {
 public:
  Maker(size_t text_bytes, uint64_t seed) : text_bytes_(text_bytes), random_(seed) {}

  json::value Make(const json::value& schema_value, int depth) {
    const json::object* schema = schema_value.if_object();
    if (schema == nullptr || depth > kDepthMax) return nullptr;
    if (const json::value* constant = Member(*schema, "const")) return *constant;
    if (const json::value* values = Member(*schema, "enum");
        values != nullptr && values->is_array() && !values->get_array().empty()) {
      return values->get_array()[random_.Below(values->get_array().size())];
    }
    const json::value* type = Member(*schema, "type");
    if (type != nullptr && type->is_array() && !type->get_array().empty()) type = &type->get_array().front();
    const std::string name = type != nullptr && type->is_string()       ? std::string(type->get_string().c_str())
                             : Member(*schema, "properties") != nullptr ? "object"
                                                                        : "string";
    if (name == "object") return MakeObject(*schema, depth);
    if (name == "array") return MakeArray(*schema, depth);
    if (name == "integer" || name == "number") return MakeNumber(*schema, name == "integer");
    if (name == "boolean") return random_.Chance(0.5);
    if (name == "null") return nullptr;
    const double least = NumberMember(*schema, "minLength", 0);
    const double most = NumberMember(*schema, "maxLength", 1e9);
    const double bytes = std::min(std::max(static_cast<double>(text_bytes_), least), most);
    const std::string text = ExampleText(static_cast<size_t>(bytes), random_.Next());
    return json::value(text);
  }

 private:
  json::value MakeObject(const json::object& schema, int depth) {
    json::object object;
    const json::value* properties = Member(schema, "properties");
    if (properties != nullptr && properties->is_object()) {
      for (const auto& [name, property] : properties->get_object()) object[name] = Make(property, depth + 1);
    }
    return object;
  }

  json::value MakeArray(const json::object& schema, int depth) {
    const size_t least = static_cast<size_t>(std::max(0.0, NumberMember(schema, "minItems", 1)));
    const size_t most = static_cast<size_t>(std::max(0.0, NumberMember(schema, "maxItems", kItemsMax)));
    json::array array;
    const json::value* items = Member(schema, "items");
    for (size_t i = 0; i < std::min({std::max<size_t>(least, 1), most, kItemsMax}); ++i) {
      array.push_back(items != nullptr ? Make(*items, depth + 1) : json::value("item"));
    }
    return array;
  }

  json::value MakeNumber(const json::object& schema, bool whole) {
    const double least = NumberMember(schema, "minimum", 0);
    const double most = std::max(least, NumberMember(schema, "maximum", least + 100));
    if (!whole) return least + random_.Uniform() * (most - least);
    const auto low = static_cast<int64_t>(std::max(least, -9e15));
    return low + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(std::min(most - least, 1e15)) + 1));
  }

  const size_t text_bytes_;
  Random random_;
};

}  // namespace

std::string ExampleText(size_t bytes, uint64_t seed) {
  static constexpr std::string_view kWords[] = {"river",  "market",  "signal", "winter", "bridge", "garden",
                                                "engine", "letter",  "window", "season", "copper", "harbor",
                                                "meadow", "lantern", "orbit",  "valley"};
  Random random(seed);
  std::string text;
  while (text.size() < bytes) {
    if (!text.empty()) text.push_back(' ');
    text += kWords[random.Below(16)];
  }
  text.resize(bytes);
  if (!text.empty() && text.back() == ' ') text.back() = '.';
  return text;
}

std::string ExampleFor(const std::string& schema, size_t text_bytes, uint64_t seed) {
  const StatusOr<json::value> value = ParseJson(schema);
  if (!value.ok()) return "{}";
  Maker maker(text_bytes / CountTexts(*value, 0), seed);
  return json::serialize(maker.Make(*value, 0));
}

}  // namespace millrace::backend
