#include "backends/openai/rate_hint.h"

#include <charconv>
#include <chrono>

#include "backends/sdk/http_call.h"

namespace millrace::backend::openai {
namespace {

constexpr int64_t kCountMax = 1'000'000'000'000;  // a larger number is not a limit
constexpr double kSecondsMax = 366.0 * 24 * 3600;

struct Unit {
  std::string_view name;
  double seconds;
};

// `ms` comes before `m`, of which it begins with the letter.
constexpr Unit kUnits[] = {{"ms", 1e-3}, {"h", 3600}, {"m", 60}, {"s", 1}, {"us", 1e-6}, {"ns", 1e-9}};

std::optional<int64_t> CountOf(const Headers& headers, std::string_view name) {
  const std::string_view text = HeaderOf(headers, name);
  int64_t count = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  if (count < 0 || count > kCountMax) return std::nullopt;
  return count;
}

void Read(const Headers& headers, std::string_view of, std::optional<int64_t>& limit, std::optional<int64_t>& remaining,
          std::optional<Duration>& reset) {
  const std::string names = "x-ratelimit-";
  const std::string end(of);
  limit = CountOf(headers, names + "limit-" + end);
  const bool is_odd = !HeaderOf(headers, names + "limit-" + end).empty() && limit.value_or(0) == 0;
  if (is_odd) {
    limit = std::nullopt;
    return;
  }
  remaining = CountOf(headers, names + "remaining-" + end);
  reset = ResetDuration(HeaderOf(headers, names + "reset-" + end));
}

}  // namespace

std::optional<Duration> ResetDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double seconds = 0;
  while (!text.empty()) {
    double number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (parsed.ec != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
    double unit = text.empty() && seconds == 0 ? 1 : 0;
    for (const Unit& known : kUnits) {
      if (unit != 0 || !text.starts_with(known.name)) continue;
      unit = known.seconds;
      text.remove_prefix(known.name.size());
    }
    // The negation refuses NaN, too.
    if (unit == 0 || !(number >= 0)) return std::nullopt;
    seconds += number * unit;
    if (!(seconds <= kSecondsMax)) return std::nullopt;
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

RateHint RateHintOf(const Headers& headers) {
  RateHint hint;
  Read(headers, "requests", hint.limit_requests, hint.remaining_requests, hint.reset_requests);
  Read(headers, "tokens", hint.limit_tokens, hint.remaining_tokens, hint.reset_tokens);
  return hint;
}

}  // namespace millrace::backend::openai
