#include "backends/ollama/keep_alive.h"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace millrace::backend::ollama {
namespace {

constexpr Duration kServersDefault = std::chrono::minutes(5);
// A shorter time would be spent on requests that keep the model loaded.
constexpr Duration kKeepAliveMin = std::chrono::seconds(5);
constexpr double kKeepAliveMaxSeconds = 1e9;

double SecondsOf(std::string_view unit) {
  if (unit == "ns") return 1e-9;
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "m") return 60;
  return unit == "h" ? 3600 : 1;
}

}  // namespace

std::optional<Duration> KeepAlive(std::string_view text) {
  if (text.empty()) return kServersDefault;
  if (text.front() == '-') return std::nullopt;
  double seconds = 0;
  while (!text.empty()) {
    const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const size_t end = std::min(text.find_first_of("0123456789.", digits), text.size());
    seconds += std::atof(std::string(text.substr(0, digits)).c_str()) * SecondsOf(text.substr(digits, end - digits));
    text.remove_prefix(end);
  }
  return Duration(static_cast<int64_t>(std::min(seconds, kKeepAliveMaxSeconds) * 1e9));
}

Duration KeepWarmEvery(std::string_view keep_alive) {
  const std::optional<Duration> time = KeepAlive(keep_alive);
  return time ? *time / 5 * 4 : Duration::zero();
}

void CheckUpkeep(const v1::OllamaBackend& config, std::vector<FieldViolation>& violations) {
  const std::optional<Duration> time = KeepAlive(config.keep_alive());
  if (config.keep_warm() && time && *time < kKeepAliveMin) {
    violations.push_back(
        {"keep_warm", "needs a `keep_alive` of at least 5 s, because it repeats a request before that"});
  }
}

}  // namespace millrace::backend::ollama
