#include "server/config/scalar.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "server/base/json.h"

namespace millrace {
namespace {

constexpr double kDurationMaxNanos = 10'000.0 * 24 * 3600 * 1e9;

struct Unit {
  std::string_view name;
  int64_t factor;
};
constexpr std::array<Unit, 9> kSizes = {{{"", 1},
                                         {"KiB", int64_t{1} << 10},
                                         {"MiB", int64_t{1} << 20},
                                         {"GiB", int64_t{1} << 30},
                                         {"TiB", int64_t{1} << 40},
                                         {"kB", 1'000},
                                         {"MB", 1'000'000},
                                         {"GB", 1'000'000'000},
                                         {"TB", 1'000'000'000'000}}};
// Larger units first.
constexpr std::array<Unit, 7> kDurations = {{{"d", 86'400'000'000'000},
                                             {"h", 3'600'000'000'000},
                                             {"m", 60'000'000'000},
                                             {"s", 1'000'000'000},
                                             {"ms", 1'000'000},
                                             {"us", 1'000},
                                             {"ns", 1}}};

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

// A decimal number with leading zeros is ten in one parser and eight in another.
constexpr char kInteger[] = "[-+]?(0|[1-9][0-9]*)";
constexpr char kNumber[] = R"([-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?)";

bool IsInteger(std::string_view text) {
  static const re2::RE2 pattern(kInteger);
  return re2::RE2::FullMatch(Piece(text), pattern);
}

bool IsNumber(std::string_view text) {
  static const re2::RE2 pattern(kNumber);
  return re2::RE2::FullMatch(Piece(text), pattern);
}

template <typename Integer>
std::optional<Integer> ParseSized(std::string_view text) {
  const size_t end = text.find_last_of("0123456789");
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view digits = text.substr(0, end + 1);
  if (!IsInteger(digits)) return std::nullopt;
  if (digits.front() == '+') digits.remove_prefix(1);
  Integer number = 0;
  const std::from_chars_result result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  for (const Unit& unit : kSizes) {
    if (unit.name != text.substr(end + 1)) continue;
    Integer product = 0;
    if (__builtin_mul_overflow(number, static_cast<Integer>(unit.factor), &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

}  // namespace

ScalarKind KindOf(std::string_view text) {
  static const re2::RE2 ambiguous(
      R"([-+]?0[0-9][0-9_]*(\.[0-9]*)?|[-+]?0[xob][0-9a-fA-F_]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))");
  if (ParseBoolean(text)) return ScalarKind::kBoolean;
  if (IsInteger(text)) return ScalarKind::kInteger;
  if (IsNumber(text)) return ScalarKind::kNumber;
  if (re2::RE2::FullMatch(Piece(text), ambiguous)) return ScalarKind::kAmbiguous;
  if (text.ends_with('%') && ParseNumber(text)) return ScalarKind::kPercentage;
  if (ParseDuration(text)) return ScalarKind::kDuration;
  return ScalarKind::kText;
}

std::optional<bool> ParseBoolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::optional<int64_t> ParseInteger(std::string_view text) { return ParseSized<int64_t>(text); }
std::optional<uint64_t> ParseUnsigned(std::string_view text) { return ParseSized<uint64_t>(text); }

std::optional<double> ParseNumber(std::string_view text) {
  const bool percentage = text.ends_with('%');
  if (percentage) text.remove_suffix(1);
  if (!IsNumber(text)) return std::nullopt;
  if (text.front() == '+') text.remove_prefix(1);
  // A share is read as the decimal number that it is: 7% is 0.07 and not 7 / 100.0, which differ in the last place.
  if (percentage) {
    if (text.find_first_of("eE") != std::string_view::npos) return std::nullopt;
    return NearestDouble(std::string(text) + "e-2");
  }
  return NearestDouble(text);
}

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double nanos = 0;
  size_t next_unit = 0;  // units only get smaller
  while (!text.empty()) {
    const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const std::string_view number = text.substr(0, digits);
    text.remove_prefix(digits);
    const size_t letters = std::min(text.find_first_of("0123456789."), text.size());
    const std::string_view name = text.substr(0, letters);
    text.remove_prefix(letters);
    if (number.empty() || !IsNumber(number)) return std::nullopt;
    size_t unit = next_unit;
    while (unit < kDurations.size() && kDurations[unit].name != name) ++unit;
    if (unit == kDurations.size()) return std::nullopt;
    next_unit = unit + 1;
    nanos += *NearestDouble(number) * static_cast<double>(kDurations[unit].factor);
    if (nanos > kDurationMaxNanos) return std::nullopt;
  }
  return Duration(std::llround(nanos));
}

std::string FormatDuration(Duration duration) {
  const int64_t nanos = duration.count();
  if (nanos == 0) return "0s";
  for (const Unit& unit : kDurations) {
    if (unit.name != "d" && nanos % unit.factor == 0) return fmt::format("{}{}", nanos / unit.factor, unit.name);
  }
  return fmt::format("{}ns", nanos);
}

}  // namespace millrace
