#include "server/text/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "server/base/utf8.h"
#include "server/base/work_meter.h"

namespace millrace {
namespace {

// Steps of compiling: an instruction takes 0.5 to 40 µs.
constexpr int64_t kStepsPerInstruction = 100;
// Bytes that RE2 may take for a pattern and the states of its searches: 8 MiB, but a small pattern needs few.
constexpr size_t kSmallParts = 100;
constexpr int64_t kSmallMemory = 1 << 20;
// Instructions of a part at which a search may be at once; a class of Unicode has hundreds.
constexpr size_t kInstructionsPerPart = 16;
constexpr size_t kCharacterBytesMax = 4;
// Cost of a search that finds its match at once.
constexpr int64_t kStepsPerSearch = 20;
// Bytes of text for a step: a search nearly always takes 1 ns for each byte.
constexpr size_t kBytesPerStep = 16;

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

// Greatest number of a repetition `{n}`, `{n,}` or `{n,m}` at the beginning of `text`, and its length.
struct Repetition {
  size_t most = 0;
  size_t length = 0;
};

std::optional<Repetition> ReadRepetition(std::string_view text) {
  const size_t end = text.substr(0, 16).find('}');
  if (end == std::string_view::npos) return std::nullopt;
  Repetition read{0, end + 1};
  size_t number = 0;
  const char* at = text.data() + 1;
  for (const char* last = text.data() + end; at < last;) {
    const auto [rest, error] = std::from_chars(at, last, number);
    if (error != std::errc()) return std::nullopt;
    read.most = std::max(read.most, number);
    if (rest < last && *rest != ',') return std::nullopt;
    at = rest + 1;
  }
  return read;
}

// Returns the offset after the class that begins at `at` with `[`.
size_t EndOfClass(std::string_view pattern, size_t at) {
  size_t end = at + 1;
  if (end < pattern.size() && pattern[end] == '^') ++end;
  if (end < pattern.size() && pattern[end] == ']') ++end;
  for (; end < pattern.size() && pattern[end] != ']'; ++end) {
    if (pattern[end] == '\\') ++end;
    if (pattern.substr(std::min(end, pattern.size()), 2) == "[:") {
      const size_t named = pattern.find(":]", end);
      if (named != std::string_view::npos) end = named + 1;
    }
  }
  return std::min(end + 1, pattern.size());
}

// Facts about the cost of a pattern that its text shows.
struct Shape {
  size_t parts = 0;         // characters and classes after its repetitions; never much too few
  bool is_bounded = true;   // no `*`, `+` or `{n,}`: a match has at most as many characters as the pattern has parts
  bool is_anchored = true;  // it matches at the beginning of the text only
};

// Returns whether the pattern can match only at the beginning of the text. It may miss that.
bool IsAnchored(std::string_view pattern) {
  if (pattern.starts_with("(?s)") || pattern.starts_with("(?i)")) pattern.remove_prefix(4);
  if (pattern.starts_with("(?is)") || pattern.starts_with("(?si)")) pattern.remove_prefix(5);
  return (pattern.starts_with("^") || pattern.starts_with("\\A")) && pattern.find("(?") == std::string_view::npos &&
         pattern.find('|') == std::string_view::npos;
}

// Reads the shape of a pattern; any, if the pattern is not RE2.
Shape ReadShape(std::string_view pattern) {
  constexpr size_t kMany = size_t{1} << 40;
  Shape shape{.is_anchored = IsAnchored(pattern)};
  std::vector<size_t> groups(1, 0);  // parts of the open groups
  size_t atom = 0;                   // parts of the last atom, which `groups` has counted
  for (size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    size_t next = at + 1;
    if (c == '(') {
      groups.push_back(0);
    } else if (c == ')' && groups.size() > 1) {
      atom = groups.back() + 1;
      groups.pop_back();
      groups.back() += atom;
    } else if (c == '*' || c == '+') {
      shape.is_bounded = false;
    } else if (const auto repetition = c == '{' ? ReadRepetition(pattern.substr(at)) : std::nullopt) {
      const size_t times = std::max<size_t>(repetition->most, 1);
      groups.back() += atom * (times - 1);
      atom *= times;
      next = at + repetition->length;
      if (pattern[next - 2] == ',') shape.is_bounded = false;
    } else {
      if (c == '\\') next = std::min(at + 2, pattern.size());
      if (c == '[') next = EndOfClass(pattern, at);
      atom = 1;
      ++groups.back();
    }
    if (groups.back() > kMany || atom > kMany) {
      shape.parts = kMany;
      return shape;
    }
    at = next;
  }
  for (const size_t group : groups) shape.parts += group;
  return shape;
}

// Returns the length of a replacement with its groups. REQUIRES: CheckRewriteString accepted it.
size_t LengthOfReplacement(std::string_view with, const re2::StringPiece* groups) {
  size_t length = 0;
  for (size_t at = 0; at < with.size(); ++at) {
    const bool is_escape = with[at] == '\\' && at + 1 < with.size();
    if (is_escape) ++at;
    const bool is_group = is_escape && with[at] >= '0' && with[at] <= '9';
    length += is_group ? groups[with[at] - '0'].size() : 1;
  }
  return length;
}

}  // namespace

StatusOr<Pattern> Pattern::Compile(std::string_view text) {
  if (!SpendWork(static_cast<int64_t>(text.size()))) return WorkStatus();
  const Shape shape = ReadShape(text);
  if (shape.parts > kPartsMax) {
    return MakeError(
        Reason::kInvalidField,
        fmt::format("the pattern has more than {} parts after its repetitions are written out; use smaller "
                    "numbers in {{…}}, or *",
                    kPartsMax));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  if (shape.parts <= kSmallParts && text.find("\\p") == std::string_view::npos &&
      text.find("\\P") == std::string_view::npos) {
    options.set_max_mem(kSmallMemory);
  }
  auto compiled = std::make_shared<const re2::RE2>(Piece(text), options);
  if (!compiled->ok()) return MakeError(Reason::kInvalidField, "not an RE2 pattern: " + compiled->error());
  const auto instructions = static_cast<size_t>(compiled->ProgramSize());
  SpendWork(static_cast<int64_t>(instructions) * kStepsPerInstruction);
  const size_t width = std::max({size_t{1}, shape.parts, instructions / kInstructionsPerPart});
  const bool sees_beginning = shape.is_anchored && shape.is_bounded;
  return Pattern(std::move(compiled), width, sees_beginning ? shape.parts * kCharacterBytesMax : SIZE_MAX);
}

std::string Pattern::FaultOfReplacement(std::string_view with) const {
  std::string fault;
  re2_->CheckRewriteString(Piece(with), &fault);
  return fault;
}

size_t Pattern::CostOf(size_t bytes) const {
  const size_t seen = std::min(bytes, bytes_max_);
  return seen > SIZE_MAX / width_ ? SIZE_MAX : seen * width_;
}

bool Pattern::Find(std::string_view text, size_t at, re2::StringPiece* match, int count) const {
  const size_t bytes = text.size() - std::min(at, text.size());
  WorkMeter* const meter = WorkMeter::Current();
  if (meter != nullptr && bytes_max_ == SIZE_MAX && CostOf(bytes) > kSearchMax) {
    meter->End(MakeError(Reason::kBadItem,
                         fmt::format("the pattern `{}` is too large to search a text of {} bytes, at most {}; shorten "
                                     "the text first, or use a simpler pattern",
                                     Excerpt(re2_->pattern(), 60), bytes, kSearchMax / width_)));
    return false;
  }
  if (!SpendWork(kStepsPerSearch + static_cast<int64_t>(bytes / kBytesPerStep))) return false;
  return re2_->Match(Piece(text), at, text.size(), re2::RE2::UNANCHORED, match, count);
}

bool Pattern::MatchesWhole(std::string_view text) const {
  re2::StringPiece match;
  return Find(text, 0, &match, 1) && re2_->Match(Piece(text), 0, text.size(), re2::RE2::ANCHOR_BOTH, nullptr, 0);
}

size_t Pattern::ReplaceAll(std::string& text, std::string_view with, size_t bytes_max) const {
  constexpr int kGroupsMax = 10;  // the match and \1 to \9
  re2::StringPiece groups[kGroupsMax];
  const int count = 1 + re2::RE2::MaxSubmatch(Piece(with));
  std::string out;
  size_t replaced = 0;
  size_t at = 0;
  const auto fits = [&](size_t more) {
    if (out.size() + more <= bytes_max) return true;
    if (WorkMeter* meter = WorkMeter::Current()) {
      meter->End(MakeError(Reason::kBadItem, fmt::format("the text would have more than {} bytes", bytes_max)));
    }
    return false;
  };
  size_t end_of_last = std::string::npos;
  while (at <= text.size() && Find(text, at, groups, count)) {
    const auto begin = static_cast<size_t>(groups[0].data() - text.data());
    // As RE2's GlobalReplace: an empty match at the end of a match does not count.
    const bool is_skipped = groups[0].empty() && begin == end_of_last;
    const size_t next = is_skipped ? std::min(NextCharacter(text, at), text.size() + 1) : begin + groups[0].size();
    const size_t kept = (is_skipped ? std::min(next, text.size()) : begin) - at;
    if (!fits(kept + (is_skipped ? 0 : LengthOfReplacement(with, groups)))) return 0;
    out.append(text, at, kept);
    if (!is_skipped) {
      re2_->Rewrite(&out, Piece(with), groups, count);
      ++replaced;
      end_of_last = next;
    }
    at = next;
  }
  if (replaced == 0 || !WorkStatus().ok()) return 0;
  if (at < text.size()) {
    if (!fits(text.size() - at)) return 0;
    out.append(text, at);
  }
  text = std::move(out);
  return replaced;
}

}  // namespace millrace
