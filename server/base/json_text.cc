#include "server/base/json_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

namespace millrace {

std::optional<double> NearestDouble(std::string_view text) {
  double number = 0;
  const std::from_chars_result result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec == std::errc::result_out_of_range) {
    // The number is too large, which is an error, or too small, which is 0.
    number = std::strtod(std::string(text).c_str(), nullptr);
    if (std::isinf(number)) return std::nullopt;
    return number;
  }
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

Status NotJson(size_t offset, std::string_view what) {
  return MakeError(Reason::kNotJson, fmt::format("invalid JSON at byte {}: {}", offset, what));
}

Status JsonTooLarge(size_t size, const JsonLimits& limits) {
  return MakeError(Reason::kNotJson, fmt::format("JSON of {} bytes is over the limit of {}", size, limits.bytes));
}

}  // namespace millrace
