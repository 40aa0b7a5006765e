#include "server/text/schema_parts.h"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <map>

#include "server/base/number.h"
#include "server/base/work_meter.h"
#include "server/text/exact_rules.h"
#include "server/text/pattern.h"

namespace millrace {
namespace {

constexpr size_t kPartsMax = 500;
constexpr size_t kValuesMax = 200'000;
constexpr size_t kRefBytesMax = 512;
constexpr size_t kPatternBytesMax = 4096;

// Keywords whose values are schemas, lists of schemas and schemas by name.
constexpr std::array kSchema = {
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"};
constexpr std::array kSchemaList = {"allOf", "anyOf", "items", "oneOf"};
constexpr std::array kSchemaMap = {"dependencies", "properties"};
// Keywords that are copied. All others are annotations, containers of definitions or unknown, and are dropped.
constexpr std::array kPlain = {"maxItems", "maxProperties", "minItems", "minProperties", "required", "dependencies"};

template <size_t n>
bool Has(const std::array<const char*, n>& keywords, std::string_view keyword) {
  for (const char* known : keywords) {
    if (keyword == known) return true;
  }
  return false;
}

Status Wrong(const std::string& where, std::string_view what) {
  return MakeError(Reason::kInvalidField, fmt::format("the schema at {}: {}", where.empty() ? "its top" : where, what));
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Returns one name of a JSON Pointer in a URI's fragment without its escapes.
std::string Unescaped(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '%' && i + 2 < name.size() && HexValue(name[i + 1]) >= 0 && HexValue(name[i + 2]) >= 0) {
      out += static_cast<char>(HexValue(name[i + 1]) << 4 | HexValue(name[i + 2]));
      i += 2;
    } else if (name[i] == '~' && i + 1 < name.size() && (name[i + 1] == '0' || name[i + 1] == '1')) {
      out += name[++i] == '0' ? '~' : '/';
    } else {
      out += name[i];
    }
  }
  return out;
}

class Taking {
 public:
  explicit Taking(const json::value& schema) : schema_(schema) {}

  StatusOr<std::vector<json::value>> All() {
    PartOf("", schema_);
    for (size_t i = 0; i < sources_.size(); ++i) {
      if (i >= kPartsMax) return Wrong("", fmt::format("more than {} parts", kPartsMax));
      const auto [where, source] = sources_[i];
      MR_ASSIGN_OR_RETURN(json::value part, Copy(*source, where));
      parts_.push_back(std::move(part));
    }
    return std::move(parts_);
  }

 private:
  // Returns the number of the part for the schema at `where`; adds the part if it is new.
  size_t PartOf(const std::string& where, const json::value& source) {
    const auto [found, is_new] = numbers_.try_emplace(&source, sources_.size());
    if (is_new) sources_.emplace_back(where, &source);
    return found->second;
  }

  StatusOr<json::value> Copy(const json::value& source, const std::string& where) {
    if (source.is_bool()) return source;
    const json::object* object = source.if_object();
    if (object == nullptr) return Wrong(where, "expected an object, true or false");
    MR_RETURN_IF_ERROR(Count(object->size()));
    json::object copy;
    json::object exact;
    if (const json::value* ref = object->if_contains("$ref")) {  // draft 7 ignores all keywords beside it
      MR_ASSIGN_OR_RETURN(const size_t part, Resolve(*ref, where));
      copy[kRefKeyword] = static_cast<int64_t>(part);  // valijson reads signed numbers only
      return copy;
    }
    for (const json::key_value_pair& member : *object) {
      const std::string keyword(member.key().data(), member.key().size());
      const json::value& value = member.value();
      const std::string inner = where + "/" + keyword;
      if (keyword == "pattern") {
        MR_RETURN_IF_ERROR(CheckPattern(value, inner));
        copy[kPatternKeyword] = value;
      } else if (keyword == "format") {
        if (value.is_string()) copy[kFormatKeyword] = value;
      } else if (keyword == "patternProperties") {
        MR_ASSIGN_OR_RETURN(copy[kPropertiesKeyword], CopyPatternProperties(*object, where));
      } else if (keyword == "additionalProperties" && object->contains("patternProperties")) {
        // PropertiesFit checks it together with the patterns.
      } else if (Has(kSchemaList, keyword) && value.is_array()) {
        json::array list;
        for (const json::value& entry : value.get_array()) {
          MR_ASSIGN_OR_RETURN(json::value inner_copy, Copy(entry, fmt::format("{}/{}", inner, list.size())));
          list.push_back(std::move(inner_copy));
        }
        copy[member.key()] = std::move(list);
      } else if (Has(kSchemaMap, keyword) && value.is_object()) {
        json::object map;
        for (const json::key_value_pair& entry : value.get_object()) {
          if (entry.value().is_array()) {  // a dependency on names
            map[entry.key()] = entry.value();
            continue;
          }
          MR_ASSIGN_OR_RETURN(map[entry.key()],
                              Copy(entry.value(), inner + "/" + std::string(entry.key().data(), entry.key().size())));
        }
        copy[member.key()] = std::move(map);
      } else if (Has(kSchema, keyword)) {
        MR_ASSIGN_OR_RETURN(copy[member.key()], Copy(value, inner));
      } else if (keyword == "uniqueItems" && value.is_bool()) {
        if (value.get_bool()) copy[kUniqueKeyword] = true;
      } else if (Has(kPlain, keyword)) {
        MR_RETURN_IF_ERROR(Count(CountValues(value)));
        MR_ASSIGN_OR_RETURN(copy[member.key()], WithCount(value, inner));
      } else if (ExactRules::Takes(keyword)) {
        MR_RETURN_IF_ERROR(Count(CountValues(value)));
        exact[member.key()] = value;
      }
    }
    if (exact.empty()) return copy;
    if (const Status status = ExactRules::Parse(exact).status(); !status.ok()) {
      return Wrong(where, MessageOf(status));
    }
    copy[kExactKeyword] = json::string(WriteJson(exact));
    return copy;
  }

  // Counts copied values: parts within parts are copied with each of them.
  Status Count(size_t values) {
    values_ += values;
    if (values_ > kValuesMax) return Wrong("", fmt::format("more than {} values with its references", kValuesMax));
    return SpendWork(static_cast<int64_t>(values)) ? absl::OkStatus() : WorkStatus();
  }

  // Returns the value of a keyword, with a count that is written as `2.0` as a whole number.
  static StatusOr<json::value> WithCount(const json::value& value, const std::string& where) {
    if (!NumberText(value)) return value;
    const Decimal number = ToDecimal(value);
    if (!number.is_whole()) return Wrong(where, "expected a whole number");
    std::string text;
    AppendDecimal(number, text);
    json::value whole = NumberValue(text);
    // No value has so many parts.
    return whole.is_int64() ? whole : json::value(INT64_MAX);
  }

  StatusOr<json::value> CopyPatternProperties(const json::object& object, const std::string& where) {
    const json::object* map = object.at("patternProperties").if_object();
    if (map == nullptr) return Wrong(where + "/patternProperties", "expected an object");
    json::array patterns;
    json::array parts;
    for (const json::key_value_pair& entry : *map) {
      const std::string pattern(entry.key().data(), entry.key().size());
      MR_RETURN_IF_ERROR(CheckPattern(json::value(entry.key()), where + "/patternProperties"));
      patterns.push_back(json::value(entry.key()));
      parts.push_back(static_cast<int64_t>(PartOf(where + "/patternProperties/" + pattern, entry.value())));
    }
    json::array names;
    if (const json::value* properties = object.if_contains("properties"); properties && properties->is_object()) {
      for (const json::key_value_pair& entry : properties->get_object()) names.push_back(json::value(entry.key()));
    }
    json::object copy;
    copy["patterns"] = std::move(patterns);
    copy["parts"] = std::move(parts);
    copy["names"] = std::move(names);
    if (const json::value* additional = object.if_contains("additionalProperties")) {
      copy["additional"] = static_cast<int64_t>(PartOf(where + "/additionalProperties", *additional));
    }
    return copy;
  }

  StatusOr<size_t> Resolve(const json::value& ref, const std::string& where) {
    const json::string* text = ref.if_string();
    if (text == nullptr || text->size() > kRefBytesMax) {
      return Wrong(where + "/$ref", fmt::format("expected text of at most {} bytes", kRefBytesMax));
    }
    std::string_view rest(text->data(), text->size());
    const std::string place(rest);
    if (rest != "#" && !rest.starts_with("#/"))
      return Wrong(where + "/$ref", "expected `#` or `#/…`: other documents are not fetched");
    const json::value* at = &schema_;
    for (rest.remove_prefix(1); !rest.empty();) {
      rest.remove_prefix(1);
      const std::string name = Unescaped(rest.substr(0, rest.find('/')));
      rest.remove_prefix(std::min(rest.size(), rest.find('/')));
      const json::value* next = nullptr;
      if (const json::object* object = at->if_object()) {
        next = object->if_contains(json::string_view(name.data(), name.size()));
      } else if (at->is_array() && name.find('.') == std::string::npos) {
        next = FindPath(*at, name);
      }
      if (next == nullptr) return Wrong(where + "/$ref", fmt::format("{} does not exist", Excerpt(place)));
      at = next;
    }
    return PartOf(place.substr(1), *at);
  }

  Status CheckPattern(const json::value& pattern, const std::string& where) {
    const json::string* text = pattern.if_string();
    if (text == nullptr || text->size() > kPatternBytesMax) {
      return Wrong(where, fmt::format("expected a pattern of at most {} bytes", kPatternBytesMax));
    }
    const StatusOr<Pattern> compiled = Pattern::Compile({text->data(), text->size()});
    return compiled.ok() ? absl::OkStatus() : Wrong(where, MessageOf(compiled.status()));
  }

  const json::value& schema_;
  std::map<const json::value*, size_t> numbers_;  // parts by the schema's address; never iterated
  std::vector<std::pair<std::string, const json::value*>> sources_;
  std::vector<json::value> parts_;
  size_t values_ = 0;
};

}  // namespace

size_t CountValues(const json::value& value) {
  size_t count = 1;
  if (const json::string* text = value.if_string()) return count + text->size() / 64;
  if (const json::array* list = value.if_array()) {
    for (const json::value& element : *list) count += CountValues(element);
  } else if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& member : *object) count += CountValues(member.value());
  }
  return count;
}

StatusOr<std::vector<json::value>> TakeApart(const json::value& schema) { return Taking(schema).All(); }

}  // namespace millrace
