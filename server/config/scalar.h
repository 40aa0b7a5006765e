// What a scalar of a definition means: YAML 1.2's core types without its surprises, and the durations, sizes and
// percentages that the project writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/base/clock.h"

namespace millrace {

enum class ScalarKind {
  kBoolean,     // true, false
  kInteger,     // 5, -3
  kNumber,      // 0.5, 1e3
  kPercentage,  // 5%
  kDuration,    // 30s, 1h30m, 500ms
  kAmbiguous,   // 007, 0x1f, 0o17, .inf, .nan: other parsers read other things; never guessed
  kText,
};

// The kind of a scalar without quotes.
ScalarKind KindOf(std::string_view text);

// true, True, TRUE and so on; not yes, on or 1.
std::optional<bool> ParseBoolean(std::string_view text);

// A whole number, or a size: 10MiB, 2GB (1024s and 1000s). Nothing beyond 64 bits.
std::optional<int64_t> ParseInteger(std::string_view text);
std::optional<uint64_t> ParseUnsigned(std::string_view text);

// A number, or a percentage as a share: 5% is 0.05.
std::optional<double> ParseNumber(std::string_view text);

// Numbers with the units d, h, m, s, ms, us, ns, the larger first: 1h30m, 1.5s. Up to 10,000 days.
std::optional<Duration> ParseDuration(std::string_view text);

// The shortest way to write it so that ParseDuration reads it: 90m, 1500ms.
std::string FormatDuration(Duration duration);

}  // namespace millrace
