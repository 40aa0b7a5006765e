#include "server/base/number.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "server/base/json_text.h"

namespace millrace {
namespace {

constexpr size_t kExponentDigitsMax = 15;

std::string_view View(const json::string& text) { return {text.data(), text.size()}; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits at the beginning of `text`.
std::string_view TakeDigits(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), IsDigit);
  const std::string_view digits = text.substr(0, static_cast<size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

// Reads an exponent with its `e` from the whole of `text`; 0 if it is empty.
std::optional<int64_t> Exponent(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
  text.remove_prefix(1);
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  const std::string_view digits = TakeDigits(text);
  if (digits.empty() || !text.empty()) return std::nullopt;
  const std::string_view significant = digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
  if (significant.size() > kExponentDigitsMax) return std::nullopt;
  int64_t exponent = 0;
  std::from_chars(significant.data(), significant.data() + significant.size(), exponent);
  return is_negative ? -exponent : exponent;
}

Decimal OfInteger(bool is_negative, uint64_t magnitude) {
  Decimal number;
  if (magnitude == 0) return number;
  number.is_negative = is_negative;
  number.digits = std::to_string(magnitude);
  number.point = static_cast<int64_t>(number.digits.size());
  number.digits.resize(number.digits.find_last_not_of('0') + 1);
  return number;
}

Decimal OfDouble(double number) {
  char buffer[40];
  const std::to_chars_result result =
      std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  return ParseDecimal({buffer, static_cast<size_t>(result.ptr - buffer)}).value_or(Decimal());
}

// Returns the text without blanks around it.
std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// Returns whole digits without the commas between groups of three; nullopt if commas are anywhere else.
std::optional<std::string> WithoutSeparators(std::string_view text) {
  std::string digits;
  const size_t first = text.find(',');
  if (first == 0 || first > 3) return std::nullopt;
  for (size_t at = first; at < text.size(); at += 4) {
    if (text[at] != ',' || at + 4 > text.size()) return std::nullopt;
  }
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != ','; });
  return std::all_of(digits.begin(), digits.end(), IsDigit) ? std::optional(digits) : std::nullopt;
}

// Compares numbers other than 0 without their signs.
int CompareMagnitudes(const Decimal& a, const Decimal& b) {
  if (a.point != b.point) return a.point < b.point ? -1 : 1;
  return a.digits.compare(b.digits);
}

}  // namespace

std::optional<Decimal> ParseDecimal(std::string_view text) {
  Decimal number;
  number.is_negative = text.starts_with('-');
  if (number.is_negative) text.remove_prefix(1);
  const std::string_view whole = TakeDigits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = TakeDigits(text);
    if (fraction.empty()) return std::nullopt;
  }
  const std::optional<int64_t> exponent = Exponent(text);
  if (whole.empty() || !exponent) return std::nullopt;
  number.digits.reserve(whole.size() + fraction.size());
  number.digits.append(whole).append(fraction);
  const size_t zeros = number.digits.find_first_not_of('0');
  if (zeros == std::string::npos) return Decimal();
  number.digits.erase(0, zeros);
  number.digits.resize(number.digits.find_last_not_of('0') + 1);
  number.point = static_cast<int64_t>(whole.size()) - static_cast<int64_t>(zeros) + *exponent;
  return number;
}

int Compare(const Decimal& a, const Decimal& b) {
  const auto sign = [](const Decimal& number) { return number.digits.empty() ? 0 : number.is_negative ? -1 : 1; };
  if (sign(a) != sign(b)) return sign(a) - sign(b);
  if (sign(a) == 0) return 0;
  return sign(a) * CompareMagnitudes(a, b);
}

bool IsMultiple(const Decimal& number, const Decimal& step) {
  if (number.digits.empty()) return true;
  // number = A·10^a and step = B·10^b with whole A and B, neither of which ends in 0.
  const int64_t a = number.point - static_cast<int64_t>(number.digits.size());
  const int64_t b = step.point - static_cast<int64_t>(step.digits.size());
  if (a < b) return false;  // 10^(b-a) would have to divide A
  uint64_t divisor = 0;
  std::from_chars(step.digits.data(), step.digits.data() + step.digits.size(), divisor);
  if (divisor == 0) return false;
  using Wide = unsigned __int128;
  Wide rest = 0;
  for (const char digit : number.digits) rest = (rest * 10 + static_cast<unsigned>(digit - '0')) % divisor;
  // rest · 10^(a-b), by squaring.
  Wide power = 10 % divisor;
  for (auto exponent = static_cast<uint64_t>(a - b); exponent > 0 && rest != 0; exponent /= 2) {
    if (exponent % 2 == 1) rest = rest * power % divisor;
    power = power * power % divisor;
  }
  return rest == 0;
}

void AppendDecimal(const Decimal& number, std::string& out) {
  constexpr int64_t kPlainMax = 21;
  constexpr int64_t kDoubleDigits = 17;
  const std::string& digits = number.digits;
  if (digits.empty()) {
    out.push_back('0');
    return;
  }
  // `n` and `k` are the standard's names: the value is 0.digits × 10^n, with k digits.
  const int64_t n = number.point;
  const auto k = static_cast<int64_t>(digits.size());
  if (number.is_negative) out.push_back('-');
  const bool is_long_integer = k > kDoubleDigits && k <= n && n - k <= kPlainMax;
  if (k <= n && (n <= kPlainMax || is_long_integer)) {
    out += digits;
    out.append(static_cast<size_t>(n - k), '0');
  } else if (0 < n && n <= kPlainMax) {
    out.append(digits, 0, static_cast<size_t>(n));
    out.push_back('.');
    out.append(digits, static_cast<size_t>(n));
  } else if (-6 < n && n <= 0) {
    out += "0.";
    out.append(static_cast<size_t>(-n), '0');
    out += digits;
  } else {
    out.push_back(digits[0]);
    if (k > 1) out.push_back('.');
    out.append(digits, 1);
    out.push_back('e');
    out.push_back(n - 1 < 0 ? '-' : '+');
    out += std::to_string(std::abs(n - 1));
  }
}

json::value NumberValue(std::string_view text) {
  const char* end = text.data() + text.size();
  if (text.find_first_of(".eE") == std::string_view::npos && text != "-0") {
    int64_t number = 0;
    if (const auto read = std::from_chars(text.data(), end, number); read.ec == std::errc() && read.ptr == end) {
      return number;
    }
  }
  json::string marked;
  marked.reserve(text.size() + 1);
  marked.push_back(kNumberMark);
  marked.append(json::string_view(text.data(), text.size()));
  return marked;
}

std::optional<std::string_view> NumberText(const json::value& value) {
  const json::string* text = value.if_string();
  if (text == nullptr || text->empty() || text->front() != kNumberMark) return std::nullopt;
  return View(*text).substr(1);
}

bool IsNumber(const json::value& value) { return value.is_number() || NumberText(value); }

const json::string* IfText(const json::value& value) {
  const json::string* text = value.if_string();
  return text != nullptr && (text->empty() || text->front() != kNumberMark) ? text : nullptr;
}

double ToDouble(const json::value& value) {
  if (const auto text = NumberText(value)) {
    const std::optional<double> number = NearestDouble(*text);
    if (number) return *number;
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return text->starts_with('-') ? -kInfinity : kInfinity;
  }
  return value.to_number<double>();
}

Decimal ToDecimal(const json::value& value) {
  if (const auto text = NumberText(value)) return ParseDecimal(*text).value_or(Decimal());
  if (const int64_t* number = value.if_int64()) {
    const auto magnitude = static_cast<uint64_t>(*number);
    return OfInteger(*number < 0, *number < 0 ? 0 - magnitude : magnitude);
  }
  if (const uint64_t* number = value.if_uint64()) return OfInteger(false, *number);
  return OfDouble(value.get_double());
}

int CompareNumbers(const json::value& a, const json::value& b) {
  if (a.is_int64() && b.is_int64()) return a.get_int64() < b.get_int64() ? -1 : a.get_int64() > b.get_int64() ? 1 : 0;
  // Rounding keeps the order, so only numbers with the same nearest double must be compared digit by digit.
  const double near_a = ToDouble(a);
  const double near_b = ToDouble(b);
  if (near_a != near_b) return near_a < near_b ? -1 : 1;
  return Compare(ToDecimal(a), ToDecimal(b));
}

bool EqualJson(const json::value& a, const json::value& b) {
  if (IsNumber(a) || IsNumber(b)) return IsNumber(a) && IsNumber(b) && CompareNumbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  if (const json::array* list = a.if_array()) {
    const json::array& other = b.get_array();
    return std::equal(list->begin(), list->end(), other.begin(), other.end(), EqualJson);
  }
  if (const json::object* object = a.if_object()) {
    const json::object& others = b.get_object();
    if (object->size() != others.size()) return false;
    return std::all_of(object->begin(), object->end(), [&](const json::key_value_pair& member) {
      const json::value* other = others.if_contains(member.key());
      return other != nullptr && EqualJson(member.value(), *other);
    });
  }
  return a == b;
}

std::optional<std::string> NumberInText(std::string_view text) {
  text = Trimmed(text);
  std::string number;
  if (text.starts_with('-')) number.push_back('-');
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const std::string_view whole = TakeDigits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = TakeDigits(text);
  }
  if ((whole.empty() && fraction.empty()) || !Exponent(text)) return std::nullopt;
  const std::string_view significant = whole.substr(std::min(whole.find_first_not_of('0'), whole.size()));
  number.append(significant.empty() ? "0" : significant);
  if (!fraction.empty()) number.append(".").append(fraction);
  number.append(text);
  return number;
}

bool LooksLikeNumber(std::string_view text) {
  text = Trimmed(text);
  if (text.empty() || text.size() > 64) return false;
  if (NumberInText(text)) return true;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const size_t point = text.find('.');
  const std::string_view fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (!std::all_of(fraction.begin(), fraction.end(), IsDigit)) return false;
  return text.find(',') < point && WithoutSeparators(text.substr(0, point)).has_value();
}

}  // namespace millrace
