// Scalars of a definition: the core types of YAML 1.2 without its surprises, and durations, sizes and percentages.
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
  kAmbiguous,   // 007, 0x1f, 0o17, .inf, .nan: parsers differ about these, so they are refused
  kText,
};

// Returns the kind of a scalar without quotes.
ScalarKind KindOf(std::string_view text);

// Parses true, True, TRUE and so on; not yes, on or 1.
std::optional<bool> ParseBoolean(std::string_view text);

// Parses a whole number, or a size: 10MiB (powers of 1024), 2GB (powers of 1000). nullopt beyond 64 bits.
std::optional<int64_t> ParseInteger(std::string_view text);
std::optional<uint64_t> ParseUnsigned(std::string_view text);

// Parses a number, or a percentage as a share: 5% is 0.05.
std::optional<double> ParseNumber(std::string_view text);

// Parses numbers with the units d, h, m, s, ms, us, ns, larger units first: 1h30m, 1.5s. Up to 10,000 days.
std::optional<Duration> ParseDuration(std::string_view text);

// Returns the shortest text from which ParseDuration gets the same duration: 90m, 1500ms.
std::string FormatDuration(Duration duration);

}  // namespace millrace
