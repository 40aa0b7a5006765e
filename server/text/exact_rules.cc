#include "server/text/exact_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "server/base/canonical_json.h"
#include "server/base/json.h"

namespace millrace {
namespace {

constexpr size_t kOptionsBytesMax = 200;

constexpr std::array<std::string_view, 7> kTypes = {"array",  "boolean", "integer", "null",
                                                    "number", "object",  "string"};
constexpr std::array<std::string_view, 11> kKeywords = {"const",      "enum",    "exclusiveMaximum", "exclusiveMinimum",
                                                        "maxLength",  "maximum", "minLength",        "minimum",
                                                        "multipleOf", "type",    "uniqueItems"};

Status WrongKeyword(std::string_view keyword, std::string_view expected) {
  return MakeError(Reason::kInvalidField, fmt::format("{}: expected {}", keyword, expected));
}

// Returns the name of a value's type; `integer` for a whole number.
std::string_view TypeOf(const json::value& value) {
  if (IsNumber(value)) return value.is_int64() || ToDecimal(value).is_whole() ? "integer" : "number";
  switch (value.kind()) {
    case json::kind::array:
      return "array";
    case json::kind::object:
      return "object";
    case json::kind::bool_:
      return "boolean";
    case json::kind::null:
      return "null";
    default:
      return "string";
  }
}

std::optional<uint64_t> CountOf(const json::value& value) {
  if (!IsNumber(value)) return std::nullopt;
  const Decimal number = ToDecimal(value);
  if (number.is_negative || !number.is_whole()) return std::nullopt;
  std::string digits;
  AppendDecimal(number, digits);
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  // A larger number bounds nothing.
  return error == std::errc() && end == digits.data() + digits.size() ? count : UINT64_MAX;
}

uint64_t Characters(std::string_view text) {
  return static_cast<uint64_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

bool ExactRules::Takes(std::string_view keyword) {
  return std::find(kKeywords.begin(), kKeywords.end(), keyword) != kKeywords.end();
}

StatusOr<ExactRules> ExactRules::Parse(const json::object& schema) {
  ExactRules rules;
  for (const json::key_value_pair& member : schema) {
    const std::string_view keyword(member.key().data(), member.key().size());
    if (Takes(keyword)) MR_RETURN_IF_ERROR(rules.Take(keyword, member.value()));
  }
  return rules;
}

Status ExactRules::Take(std::string_view keyword, const json::value& value) {
  if (keyword == "type") return TakeTypes(value);
  if (keyword == "enum") {
    const json::array* list = value.if_array();
    if (list == nullptr) return WrongKeyword(keyword, "a list of values");
    options_.emplace();
    for (const json::value& option : *list) options_->insert(CanonicalJson(option));
    options_text_ = Excerpt(WriteJson(value), kOptionsBytesMax);
    return absl::OkStatus();
  }
  if (keyword == "const") {
    constant_ = CanonicalJson(value);
    return absl::OkStatus();
  }
  if (keyword == "uniqueItems") {
    // The parts of a schema have a keyword of their own for `true`.
    return value.is_bool() ? absl::OkStatus() : WrongKeyword(keyword, "true or false");
  }
  if (keyword == "minLength" || keyword == "maxLength") {
    const std::optional<uint64_t> count = CountOf(value);
    if (!count) return WrongKeyword(keyword, "a whole number that is not negative");
    (keyword == "minLength" ? length_min_ : length_max_) = *count;
    return absl::OkStatus();
  }
  if (!IsNumber(value)) return WrongKeyword(keyword, "a number");
  Bound bound{ToDecimal(value), WriteJson(value)};
  if (keyword == "multipleOf") {
    if (bound.number.is_negative || bound.number.digits.empty()) return WrongKeyword(keyword, "a number above 0");
    if (bound.number.digits.size() > kStepDigitsMax) {
      return WrongKeyword(keyword, fmt::format("a number of at most {} digits", kStepDigitsMax));
    }
    step_ = std::move(bound);
  } else if (keyword == "minimum") {
    least_ = std::move(bound);
  } else if (keyword == "exclusiveMinimum") {
    above_ = std::move(bound);
  } else if (keyword == "maximum") {
    most_ = std::move(bound);
  } else {
    below_ = std::move(bound);
  }
  return absl::OkStatus();
}

Status ExactRules::TakeTypes(const json::value& value) {
  const auto add = [&](const json::value& name) -> Status {
    const json::string* text = IfText(name);
    const std::string type = text == nullptr ? "" : std::string(text->data(), text->size());
    if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
      return WrongKeyword("type", fmt::format("one of {}, got {}", fmt::join(kTypes, ", "), Excerpt(WriteJson(name))));
    }
    types_.push_back(type);
    return absl::OkStatus();
  };
  const json::array* list = value.if_array();
  if (list == nullptr) return add(value);
  if (list->empty()) return WrongKeyword("type", "at least one type");
  for (const json::value& name : *list) MR_RETURN_IF_ERROR(add(name));
  return absl::OkStatus();
}

std::optional<std::string> ExactRules::FaultOf(const json::value& value) const {
  if (!types_.empty()) {
    const std::string_view type = TypeOf(value);
    const bool fits = std::any_of(types_.begin(), types_.end(), [&](const std::string& one) {
      return one == type || (one == "number" && type == "integer");
    });
    if (!fits) return fmt::format("expected type {}, got {}", fmt::join(types_, " or "), type);
  }
  if (options_ || constant_) {
    const std::string canonical = CanonicalJson(value);
    if (options_ && !options_->contains(canonical)) {
      return fmt::format("{} is not one of {}", Excerpt(canonical), options_text_);
    }
    if (constant_ && canonical != *constant_) {
      return fmt::format("expected {}, got {}", Excerpt(*constant_, kOptionsBytesMax), Excerpt(canonical));
    }
  }
  if (IsNumber(value)) return FaultOfNumber(value);
  if (const json::string* text = IfText(value)) return FaultOfText({text->data(), text->size()});
  return std::nullopt;
}

std::optional<std::string> ExactRules::FaultOfNumber(const json::value& value) const {
  if (!least_ && !above_ && !most_ && !below_ && !step_) return std::nullopt;
  const Decimal number = ToDecimal(value);
  const auto fault = [&](std::string_view what, const Bound& bound) {
    return fmt::format("{} is not {} {}", Excerpt(WriteJson(value)), what, Excerpt(bound.text));
  };
  if (least_ && Compare(number, least_->number) < 0) return fault("at least", *least_);
  if (above_ && Compare(number, above_->number) <= 0) return fault("above", *above_);
  if (most_ && Compare(number, most_->number) > 0) return fault("at most", *most_);
  if (below_ && Compare(number, below_->number) >= 0) return fault("below", *below_);
  if (step_ && !IsMultiple(number, step_->number)) return fault("a multiple of", *step_);
  return std::nullopt;
}

std::optional<std::string> ExactRules::FaultOfText(std::string_view text) const {
  if (!length_min_ && !length_max_) return std::nullopt;
  const uint64_t length = Characters(text);
  if (length_min_ && length < *length_min_) {
    return fmt::format("has {} characters, at least {} are expected", length, *length_min_);
  }
  if (length_max_ && length > *length_max_) {
    return fmt::format("has {} characters, at most {} are expected", length, *length_max_);
  }
  return std::nullopt;
}

}  // namespace millrace
