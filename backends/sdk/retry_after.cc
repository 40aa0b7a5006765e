#include "backends/sdk/retry_after.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "backends/sdk/http_call.h"
#include "server/base/http_date.h"

namespace millrace::backend {
namespace {

std::optional<double> Number(std::string_view text) {
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || parsed.ec == std::errc::invalid_argument || parsed.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  // A number beyond the largest double is as good as infinite.
  if (parsed.ec == std::errc::result_out_of_range) return text.front() == '-' ? -HUGE_VAL : HUGE_VAL;
  return number;
}

}  // namespace

std::optional<Duration> RetryAfterOf(const Headers& headers) {
  std::optional<double> seconds;
  if (const auto millis = Number(HeaderOf(headers, "retry-after-ms"))) seconds = *millis / 1000;
  const std::string_view header = HeaderOf(headers, "retry-after");
  if (!seconds) seconds = Number(header);
  if (!seconds) {
    const std::optional<int64_t> then = HttpDateSeconds(header);
    const std::optional<int64_t> now = HttpDateSeconds(HeaderOf(headers, "date"));
    if (then && now) seconds = static_cast<double>(*then - *now);
  }
  if (!seconds || !(*seconds >= 0)) return std::nullopt;
  const double most = std::chrono::duration<double>(kRetryAfterHeaderMax).count();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(*seconds, most)));
}

}  // namespace millrace::backend
