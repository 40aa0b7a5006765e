#include "server/base/date.h"

#include <fmt/format.h>
#include <time.h>

#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>

#include "server/base/number.h"

namespace millrace {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;
// Greatest distance from 1970, in milliseconds, of a number that counts as a date (the end of the year 9999).
constexpr int64_t kMaxMillis = 253'402'300'800'000;
// Numbers from the first to below the second count as seconds: from 2001 to 2286. As milliseconds, they would be days
// in the first months of 1970.
constexpr int64_t kSecondsMin = 1'000'000'000;
constexpr int64_t kSecondsMax = 10'000'000'000;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::string_view WithoutBlanks(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Reads a text from its beginning.
class DateReader {
 public:
  explicit DateReader(std::string_view text) : text_(text) {}

  bool done() const { return text_.empty(); }
  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool TakeEither(char a, char b) { return Take(a) || Take(b); }
  bool TakeBlanks() {
    const size_t before = text_.size();
    while (!text_.empty() && IsBlank(text_.front())) text_.remove_prefix(1);
    return text_.size() < before;
  }
  bool TakeWord(std::string_view word) {
    if (text_ != word) return false;
    text_ = {};
    return true;
  }
  bool AtDigit() const { return !text_.empty() && text_.front() >= '0' && text_.front() <= '9'; }
  // Reads a number of exactly `digits` digits that is at most `max`.
  std::optional<int> Number(size_t digits, int max) {
    if (text_.size() < digits) return std::nullopt;
    int number = 0;
    for (const char c : text_.substr(0, digits)) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + (c - '0');
    }
    if (number > max) return std::nullopt;
    text_.remove_prefix(digits);
    return number;
  }
  // Reads the digits of a fraction of a second, as microseconds.
  std::optional<int64_t> Fraction() {
    int64_t micros = 0;
    size_t digits = 0;
    for (; AtDigit(); text_.remove_prefix(1), ++digits) {
      if (digits < 6) micros = micros * 10 + (text_.front() - '0');
    }
    if (digits == 0) return std::nullopt;
    for (; digits < 6; ++digits) micros *= 10;
    return micros;
  }

 private:
  std::string_view text_;
};

// How much a reader forgives.
enum class Rigour { kLenient, kRfc3339 };

std::optional<int64_t> DaysOf(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

// Reads a day, as days since 1970.
std::optional<int64_t> Day(DateReader& reader, Rigour rigour) {
  const std::optional<int> year = reader.Number(4, 9999);
  if (!year) return std::nullopt;
  const bool is_extended = reader.Take('-');
  if (!is_extended && rigour == Rigour::kRfc3339) return std::nullopt;
  const std::optional<int> month = reader.Number(2, 12);
  if (!month || (is_extended && !reader.Take('-'))) return std::nullopt;
  const std::optional<int> day = reader.Number(2, 31);
  if (!day) return std::nullopt;
  return DaysOf(*year, *month, *day);
}

// Reads an offset, as microseconds east of UTC.
std::optional<int64_t> Offset(DateReader& reader, Rigour rigour) {
  if (reader.TakeEither('Z', 'z')) return 0;
  if (rigour == Rigour::kLenient && (reader.TakeWord("UTC") || reader.TakeWord("GMT"))) return 0;
  const bool east = reader.Take('+');
  if (!east && !reader.Take('-')) return std::nullopt;
  const std::optional<int> hours = reader.Number(2, 23);
  if (!hours) return std::nullopt;
  int minutes = 0;
  if (const bool has_colon = reader.Take(':'); has_colon || rigour == Rigour::kRfc3339 || !reader.done()) {
    if (!has_colon && rigour == Rigour::kRfc3339) return std::nullopt;
    const std::optional<int> read = reader.Number(2, 59);
    if (!read) return std::nullopt;
    minutes = *read;
  }
  const int64_t micros = (*hours * 3600 + minutes * 60) * kMicrosPerSecond;
  return east ? micros : -micros;
}

// Reads a time with its zone, as microseconds since midnight in UTC; may be below 0 or beyond a day.
std::optional<int64_t> TimeOfDay(DateReader& reader, Rigour rigour) {
  const std::optional<int> hour = reader.Number(2, 23);
  if (!hour) return std::nullopt;
  const bool is_extended = reader.Take(':');
  if (!is_extended && rigour == Rigour::kRfc3339) return std::nullopt;
  const std::optional<int> minute = reader.Number(2, 59);
  if (!minute) return std::nullopt;
  int64_t micros = (*hour * 3600 + *minute * 60) * kMicrosPerSecond;
  if (is_extended ? reader.Take(':') : reader.AtDigit()) {
    const std::optional<int> second = reader.Number(2, 60);  // 60: a leap second
    if (!second) return std::nullopt;
    micros += *second * kMicrosPerSecond;
    if (reader.Take('.') || (rigour == Rigour::kLenient && reader.Take(','))) {
      const std::optional<int64_t> fraction = reader.Fraction();
      if (!fraction) return std::nullopt;
      micros += *fraction;
    }
  } else if (rigour == Rigour::kRfc3339) {
    return std::nullopt;
  }
  if (rigour == Rigour::kLenient) {
    reader.TakeBlanks();
    if (reader.done()) return micros;
  }
  const std::optional<int64_t> offset = Offset(reader, rigour);
  if (!offset) return std::nullopt;
  return micros - *offset;
}

std::optional<Date> Read(std::string_view text, Rigour rigour) {
  DateReader reader(text);
  const std::optional<int64_t> days = Day(reader, rigour);
  if (!days) return std::nullopt;
  Date date{.micros = *days * kMicrosPerDay, .is_day = reader.done()};
  if (date.is_day) return date;
  if (!reader.TakeEither('T', 't') && !(rigour == Rigour::kLenient && reader.TakeBlanks())) return std::nullopt;
  const std::optional<int64_t> time = TimeOfDay(reader, rigour);
  if (!time || !reader.done()) return std::nullopt;
  date.micros += *time;
  return date;
}

std::optional<Date> OfMicros(int64_t micros) { return Date{.micros = micros}; }

// Returns the date from 1900 to 2100 that the digits of a number spell.
std::optional<Date> OfDigits(int64_t number) {
  const bool has_time = number > 99'999'999;
  const int64_t day = has_time ? number / 1'000'000 : number;
  const int64_t time = has_time ? number % 1'000'000 : 0;
  if (day < 19'000'101 || day > 21'001'231) return std::nullopt;
  const auto days =
      DaysOf(static_cast<int>(day / 10'000), static_cast<int>(day / 100 % 100), static_cast<int>(day % 100));
  if (!days || time / 10'000 > 23 || time / 100 % 100 > 59 || time % 100 > 60) return std::nullopt;
  const int64_t seconds = time / 10'000 * 3600 + time / 100 % 100 * 60 + time % 100;
  return Date{.micros = *days * kMicrosPerDay + seconds * kMicrosPerSecond, .is_day = !has_time};
}

// Returns the date that a whole number stands for.
std::optional<Date> OfNumber(int64_t number) {
  if (const std::optional<Date> date = OfDigits(number)) return date;
  const bool is_year = number >= 1900 && number <= 2100;
  const bool is_month = number >= 190'001 && number <= 210'012 && number % 100 >= 1 && number % 100 <= 12;
  if (is_year || is_month) return std::nullopt;
  if (number >= kSecondsMin && number < kSecondsMax) return OfMicros(number * kMicrosPerSecond);
  if (number > kMaxMillis || number < -kMaxMillis) return std::nullopt;
  return OfMicros(number * 1000);
}

// Returns the parts of a format that ParseDateAs knows: letters after `%`.
std::string LettersOf(const std::string& format) {
  std::string letters;
  for (size_t at = 0; at + 1 < format.size(); ++at) {
    if (format[at] == '%') letters.push_back(format[++at]);
  }
  return letters;
}

}  // namespace

std::optional<Date> ParseDate(std::string_view text) { return Read(WithoutBlanks(text), Rigour::kLenient); }

std::optional<std::string> FaultOfDateFormat(const std::string& format) {
  constexpr std::string_view kKnown = "YymdeBbhHIMSpzjaATDFnt%R";
  if (format.ends_with('%') && !format.ends_with("%%")) return "it ends within a `%`";
  const std::string letters = LettersOf(format);
  if (const size_t at = letters.find_first_not_of(kKnown); at != std::string::npos) {
    return fmt::format("`%{}` is not known", letters[at]);
  }
  const auto has = [&](std::string_view any) { return letters.find_first_of(any) != std::string::npos; };
  if (has("FD") || (has("Yy") && has("j"))) return std::nullopt;
  if (!has("Yy")) return "it has no year (`%Y`)";
  if (!has("mBbh")) return "it has no month (`%m` or `%b`)";
  if (!has("de")) return "it has no day (`%d`)";
  return std::nullopt;
}

std::optional<Date> ParseDateAs(std::string_view text, const std::string& format) {
  const std::string input(WithoutBlanks(text));
  std::tm parts = {};
  parts.tm_mday = 1;
  const char* end = ::strptime(input.c_str(), format.c_str(), &parts);
  if (end == nullptr || end != input.c_str() + input.size()) return std::nullopt;
  const long offset = parts.tm_gmtoff;
  const std::string letters = LettersOf(format);
  // strptime takes `17` for the year 17 if the format has four digits of it.
  if (parts.tm_year + 1900 < 1000) return std::nullopt;
  // strptime takes 31 February, and of a day of the year sets only that.
  const auto days = letters.find('j') == std::string::npos
                        ? DaysOf(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday)
                        : DaysOf(parts.tm_year + 1900, 1, 1);
  if (!days) return std::nullopt;
  const int64_t more_days = letters.find('j') == std::string::npos ? 0 : parts.tm_yday;
  const int64_t seconds = parts.tm_hour * 3600 + parts.tm_min * 60 + parts.tm_sec - offset;
  return Date{.micros = (*days + more_days) * kMicrosPerDay + seconds * kMicrosPerSecond,
              .is_day = letters.find_first_of("HIMSTRzp") == std::string::npos};
}

std::optional<Date> DateOf(const json::value& value) {
  std::string_view digits;
  if (const int64_t* number = value.if_int64()) return OfNumber(*number);
  if (IsNumber(value)) {
    const double number = ToDouble(value);
    if (!(std::abs(number) <= static_cast<double>(kMaxMillis))) return std::nullopt;
    if (number >= static_cast<double>(kSecondsMin) && number < static_cast<double>(kSecondsMax)) {
      return OfMicros(std::llround(number * static_cast<double>(kMicrosPerSecond)));
    }
    return OfNumber(std::llround(number));
  }
  const json::string* text = IfText(value);
  if (text == nullptr) return std::nullopt;
  const std::string_view trimmed = WithoutBlanks({text->data(), text->size()});
  int64_t number = 0;
  const auto [end, error] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
  if (error != std::errc() || end != trimmed.data() + trimmed.size()) return ParseDate(trimmed);
  // A day with two digits of a year would be a moment in 1970.
  if (trimmed.size() < 8 && number != 0) return std::nullopt;
  return OfNumber(number);
}

bool SaysNothing(const json::value* value) {
  if (value == nullptr || value->is_null()) return true;
  const json::string* text = IfText(*value);
  return text != nullptr && WithoutBlanks({text->data(), text->size()}).empty();
}

std::string FormatDate(const Date& date) {
  int64_t days = date.micros / kMicrosPerDay;
  int64_t rest = date.micros % kMicrosPerDay;
  if (rest < 0) {
    rest += kMicrosPerDay;
    --days;
  }
  const std::chrono::year_month_day day{std::chrono::sys_days(std::chrono::days(days))};
  std::string text = fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                                 static_cast<unsigned>(day.day()));
  if (date.is_day) return text;
  const int64_t seconds = rest / kMicrosPerSecond;
  text += fmt::format("T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (const int64_t fraction = rest % kMicrosPerSecond; fraction != 0) {
    text += fmt::format(".{:06}", fraction);
    text.resize(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

bool IsRfc3339DateTime(std::string_view text) {
  const std::optional<Date> date = Read(text, Rigour::kRfc3339);
  return date && !date->is_day;
}

bool IsRfc3339Date(std::string_view text) {
  const std::optional<Date> date = Read(text, Rigour::kRfc3339);
  return date && date->is_day;
}

bool IsRfc3339Time(std::string_view text) {
  DateReader reader(text);
  return TimeOfDay(reader, Rigour::kRfc3339) && reader.done();
}

}  // namespace millrace
