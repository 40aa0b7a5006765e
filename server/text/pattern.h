// RE2 patterns from outside, within bounds. RE2 takes time in proportion to the text, but compiling takes up to the
// square of a pattern after its repetitions (`[a-z]{1,1000}` sixty times: 38 s), a search takes up to the product of
// text and program (1 MB by 907 instructions: 38 s), and a search for every match takes up to the square of the text.
#pragma once

#include <re2/re2.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "server/base/status.h"

namespace millrace {

// A compiled pattern. Immutable; copies share it; any thread. Its work is counted on the thread's meter
// (server/base/work_meter.h).
class Pattern {
 public:
  // Compiles a pattern. INVALID_FIELD with what is wrong: not RE2, or larger than kPartsMax after its repetitions. The
  // meter's error if its limits do not allow another pattern.
  static StatusOr<Pattern> Compile(std::string_view text);

  // Most characters and classes of a pattern after its repetitions are written out: `(ab){3}` has 6. A pattern of so
  // many compiles in at most 0.5 s.
  static constexpr size_t kPartsMax = 10'000;
  // Largest cost of a search: nearly always a search takes 1 ns for each byte, but some patterns with some texts take
  // 40 ns for each unit of the cost.
  static constexpr size_t kSearchMax = 100'000'000;

  // Finds the leftmost match in the text from `at` on; `match` has `count` entries: the match, and its groups. Returns
  // false if there is none. If the thread has a meter, a text that is too large for the pattern (kSearchMax) ends the
  // meter with an error and gives false, as work beyond its limits does: the caller asks the meter afterwards.
  bool Find(std::string_view text, size_t at, re2::StringPiece* match, int count) const;
  // Returns whether the text has a match. As Find.
  bool Matches(std::string_view text) const { return Find(text, 0, nullptr, 0); }
  // Returns whether the whole text matches. As Find.
  bool MatchesWhole(std::string_view text) const;

  // Replaces every match by `with`, in which `\1` stands for a group. Returns the number of matches. As Find; also ends
  // the meter, with BAD_ITEM, before the result has more than `bytes_max` bytes.
  size_t ReplaceAll(std::string& text, std::string_view with, size_t bytes_max) const;

  int groups() const { return re2_->NumberOfCapturingGroups(); }
  // Places of the pattern at which a search may be at once, about: each may take time for each byte of the text.
  size_t width() const { return width_; }
  // Returns the cost of searching so many bytes: the product with the width. A pattern like `^.{1,1000}` sees the
  // beginning of the text only.
  size_t CostOf(size_t bytes) const;
  const std::string& text() const { return re2_->pattern(); }
  // Returns what is wrong with a text for ReplaceAll; empty: nothing.
  std::string FaultOfReplacement(std::string_view with) const;

 private:
  Pattern(std::shared_ptr<const re2::RE2> compiled, size_t width, size_t bytes_max)
      : re2_(std::move(compiled)), width_(width), bytes_max_(bytes_max) {}

  std::shared_ptr<const re2::RE2> re2_;
  size_t width_;
  size_t bytes_max_;  // from the beginning of the text, which a search may see
};

}  // namespace millrace
