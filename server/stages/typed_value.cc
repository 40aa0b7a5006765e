#include "server/stages/typed_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cctype>

#include "server/base/date.h"
#include "server/base/json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

constexpr size_t kQuotedBytesMax = 80;

json::value TextValue(std::string_view text) { return json::string(text.data(), text.size()); }

Status Unfit(std::string_view expected, const json::value& value) {
  return MakeError(Reason::kBadItem,
                   fmt::format("expected {}, got {}", expected, Excerpt(WriteJson(value), kQuotedBytesMax)));
}

StatusOr<json::value> ToNumber(const json::value& value) {
  if (IsNumber(value)) return value;
  const json::string* text = IfText(value);
  const std::optional<std::string> number = text == nullptr ? std::nullopt : NumberInText({text->data(), text->size()});
  if (!number) return Unfit("a number such as 4.5 or -3", value);
  return NumberValue(*number);
}

StatusOr<json::value> ToBoolean(const json::value& value) {
  constexpr std::array<std::string_view, 6> kTrue = {"true", "yes", "y", "t", "on", "1"};
  constexpr std::array<std::string_view, 6> kFalse = {"false", "no", "n", "f", "off", "0"};
  if (value.is_bool()) return value;
  std::string word;
  if (const json::string* text = IfText(value)) {
    word.assign(text->data(), text->size());
    word.erase(0, std::min(word.find_first_not_of(" \t\r\n"), word.size()));
    word.resize(word.find_last_not_of(" \t\r\n") + 1);
    std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  } else if (value.is_int64()) {
    word = std::to_string(value.get_int64());
  }
  if (std::find(kTrue.begin(), kTrue.end(), word) != kTrue.end()) return json::value(true);
  if (std::find(kFalse.begin(), kFalse.end(), word) != kFalse.end()) return json::value(false);
  return Unfit("true, false, yes, no, 1 or 0", value);
}

StatusOr<json::value> ToDate(const json::value& value, const std::string& format) {
  std::optional<Date> date;
  if (format.empty()) {
    date = DateOf(value);
  } else if (const json::string* text = IfText(value)) {
    date = ParseDateAs({text->data(), text->size()}, format);
  } else if (value.is_int64()) {
    date = ParseDateAs(std::to_string(value.get_int64()), format);
  }
  if (date) return TextValue(FormatDate(*date));
  return Unfit(format.empty() ? "a date such as 2024-01-31 or 2024-01-31T10:00:00Z (the rule `convert` reads other "
                                "forms, by a date_format)"
                              : fmt::format("a date like {}", Excerpt(format, kQuotedBytesMax)),
               value);
}

StatusOr<json::value> ToText(const json::value& value) {
  if (IfText(value) != nullptr) return value;
  return TextValue(WriteJson(value));
}

}  // namespace

StatusOr<json::value> Typed(const json::value& value, v1::ValueType type, const std::string& date_format) {
  if (SaysNothing(&value)) return json::value();
  switch (type) {
    case v1::VALUE_TYPE_NUMBER:
      return ToNumber(value);
    case v1::VALUE_TYPE_BOOLEAN:
      return ToBoolean(value);
    case v1::VALUE_TYPE_DATE:
      return ToDate(value, date_format);
    default:
      return ToText(value);
  }
}

StatusOr<json::value> TypedText(std::string_view text, v1::ValueType type) {
  if (type == v1::VALUE_TYPE_TEXT) return TextValue(text);
  return Typed(TextValue(text), type, "");
}

}  // namespace millrace
