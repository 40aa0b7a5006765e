#include "server/stages/group/item_time.h"

#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <string_view>

namespace millrace {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
// Greatest distance from 1970, in milliseconds, of a number that counts as a date (the end of the year 9999).
constexpr int64_t kMaxMillis = 253'402'300'800'000;

// Reads a text from its beginning.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool done() const { return text_.empty(); }
  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool TakeEither(char a, char b) { return Take(a) || Take(b); }
  // Reads a number of exactly `digits` digits.
  std::optional<int> Number(size_t digits) {
    if (text_.size() < digits) return std::nullopt;
    int number = 0;
    for (const char c : text_.substr(0, digits)) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + (c - '0');
    }
    text_.remove_prefix(digits);
    return number;
  }
  // Reads the digits of a fraction of a second, as microseconds; ignores digits after the sixth.
  std::optional<int64_t> Fraction() {
    int64_t micros = 0;
    size_t digits = 0;
    for (; !text_.empty() && text_.front() >= '0' && text_.front() <= '9'; text_.remove_prefix(1), ++digits) {
      if (digits < 6) micros = micros * 10 + (text_.front() - '0');
    }
    if (digits == 0) return std::nullopt;
    for (; digits < 6; ++digits) micros *= 10;
    return micros;
  }

 private:
  std::string_view text_;
};

std::optional<int64_t> Days(Reader& reader) {
  const std::optional<int> year = reader.Number(4);
  if (!year || !reader.Take('-')) return std::nullopt;
  const std::optional<int> month = reader.Number(2);
  if (!month || !reader.Take('-')) return std::nullopt;
  const std::optional<int> day = reader.Number(2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

// Reads an offset, as seconds east of UTC.
std::optional<int64_t> Offset(Reader& reader) {
  if (reader.TakeEither('Z', 'z')) return 0;
  const bool east = reader.Take('+');
  if (!east && !reader.Take('-')) return std::nullopt;
  const std::optional<int> hours = reader.Number(2);
  if (!hours || *hours > 23 || !reader.Take(':')) return std::nullopt;
  const std::optional<int> minutes = reader.Number(2);
  if (!minutes || *minutes > 59) return std::nullopt;
  const int64_t seconds = *hours * 3600 + *minutes * 60;
  return east ? seconds : -seconds;
}

std::optional<int64_t> MicrosOfDate(std::string_view text) {
  Reader reader(text);
  const std::optional<int64_t> days = Days(reader);
  if (!days) return std::nullopt;
  const int64_t midnight = *days * 86400 * kMicrosPerSecond;
  if (reader.done()) return midnight;
  if (!reader.TakeEither('T', 't') && !reader.Take(' ')) return std::nullopt;
  const std::optional<int> hour = reader.Number(2);
  if (!hour || *hour > 23 || !reader.Take(':')) return std::nullopt;
  const std::optional<int> minute = reader.Number(2);
  if (!minute || *minute > 59 || !reader.Take(':')) return std::nullopt;
  const std::optional<int> second = reader.Number(2);
  if (!second || *second > 60) return std::nullopt;  // 60: a leap second
  int64_t fraction = 0;
  if (reader.Take('.')) {
    const std::optional<int64_t> micros = reader.Fraction();
    if (!micros) return std::nullopt;
    fraction = *micros;
  }
  const std::optional<int64_t> offset = Offset(reader);
  if (!offset || !reader.done()) return std::nullopt;
  return midnight + (*hour * 3600 + *minute * 60 + *second - *offset) * kMicrosPerSecond + fraction;
}

std::optional<int64_t> MicrosOfMillis(int64_t millis) {
  if (millis > kMaxMillis || millis < -kMaxMillis) return std::nullopt;
  return millis * 1000;
}

}  // namespace

std::optional<int64_t> ItemTimeMicros(const boost::json::value& value) {
  if (const int64_t* number = value.if_int64()) return MicrosOfMillis(*number);
  if (const double* number = value.if_double()) {
    if (!(std::abs(*number) <= static_cast<double>(kMaxMillis))) return std::nullopt;
    return MicrosOfMillis(std::llround(*number));
  }
  const boost::json::string* text = value.if_string();
  if (text == nullptr) return std::nullopt;
  int64_t millis = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), millis);
  if (error == std::errc() && end == text->data() + text->size()) return MicrosOfMillis(millis);
  return MicrosOfDate({text->data(), text->size()});
}

}  // namespace millrace
