// Numbers of JSON texts with all their digits. A double has room for about 17 digits and two exponents in 300; a JSON
// text has room for any number. So values that are made of items (ParseExact in server/base/json.h) hold a number that
// is not an integer of 64 bits as its text, marked in a way that no text from outside can have, and these functions
// read it. Rules and schemas compare such numbers digit by digit.
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

namespace json = boost::json;

// A decimal number: 0.digits × 10^point. One number has one form.
struct Decimal {
  bool is_negative = false;
  std::string digits;  // without zeros at either end; empty: 0
  int64_t point = 0;

  bool operator==(const Decimal&) const = default;
  // Returns true if the number has no fraction.
  bool is_whole() const { return point >= static_cast<int64_t>(digits.size()); }
};

// Returns the number that a text in JSON's syntax of numbers names; nullopt if it is not one, or its exponent has more
// than 15 digits.
std::optional<Decimal> ParseDecimal(std::string_view text);

// Returns below 0 if `a` is less than `b`, 0 if they are equal, above 0 otherwise.
int Compare(const Decimal& a, const Decimal& b);

// Most digits of the step of IsMultiple.
inline constexpr size_t kStepDigitsMax = 18;

// Returns true if `number` is a whole multiple of `step`. REQUIRES: `step` is above 0 and has at most kStepDigitsMax
// digits. Takes time in proportion to the digits.
bool IsMultiple(const Decimal& number, const Decimal& step);

// Appends the number as ECMAScript's Number::toString lays digits out: plain from 1e-6 to below 1e21, with an exponent
// otherwise. The exception are whole numbers of more than 17 digits (which no double has) with at most 21 zeros at
// their end: they are plain however long. Different numbers give different texts.
void AppendDecimal(const Decimal& number, std::string& out);

// Begins the text of a number in a value. No text from outside begins with it, because it is not UTF-8.
inline constexpr char kNumberMark = '\xff';

// Returns the number that `text` names as a value: an integer of 64 bits, or else its text, marked. REQUIRES: `text` is
// in JSON's syntax of numbers.
json::value NumberValue(std::string_view text);

// Returns the text of a number that a value holds as its text; nullopt for any other value. Valid as long as `value`.
std::optional<std::string_view> NumberText(const json::value& value);

// Returns true if the value is a number, in whichever form.
bool IsNumber(const json::value& value);

// Returns the text if the value is a text; null for a number that is held as its text, and for any other value. To be
// used instead of json::value::if_string for values from ParseExact.
const json::string* IfText(const json::value& value);

// Returns the nearest double; infinite beyond the largest one. REQUIRES: IsNumber(value).
double ToDouble(const json::value& value);

// Returns the number exactly; of a double, the shortest decimal number that is read back as it, because that is what a
// person wrote. REQUIRES: IsNumber(value), finite.
Decimal ToDecimal(const json::value& value);

// Compares two numbers exactly, as Compare. REQUIRES: both are numbers, and finite.
int CompareNumbers(const json::value& a, const json::value& b);

// Returns true if two JSON values are equal: numbers by value (1 equals 1.0), members of objects in any order.
bool EqualJson(const json::value& a, const json::value& b);

// Returns true if a text would be a number if it were not text: `4.5`, `-3`, `+7`, `007`, `.5`, `1,234.50`, `1e5`, also
// with blanks around it.
bool LooksLikeNumber(std::string_view text);

// Returns the number that a person wrote as text, in JSON's syntax: like LooksLikeNumber, but without separators of
// thousands, because `1,234` is 1.234 elsewhere. nullopt if it is none.
std::optional<std::string> NumberInText(std::string_view text);

}  // namespace millrace
