#include "server/text/nearest.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/status.h"

namespace millrace {
namespace {

constexpr size_t kLengthMax = 64;
constexpr size_t kNamesMax = 1000;

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// Optimal string alignment distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string NearestName(std::string_view name, const std::vector<std::string>& names) {
  std::string nearest;
  if (name.size() > kLengthMax) return nearest;
  const std::string lower = LowerCase(name);
  size_t best = std::max<size_t>(1, name.size() / 3) + 1;
  for (size_t i = 0; i < std::min(names.size(), kNamesMax); ++i) {
    const std::string& known = names[i];
    if (known.size() > kLengthMax || known == name) continue;
    const size_t distance = Distance(lower, LowerCase(known));
    // Nothing is alike if every letter would be another one.
    if (distance >= best || distance >= name.size()) continue;
    best = distance;
    nearest = known;
  }
  return nearest;
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& names) {
  if (const std::string nearest = NearestName(name, names); !nearest.empty()) {
    return fmt::format("; did you mean \"{}\"?", Excerpt(nearest));
  }
  if (names.empty() || names.size() > 20) return "";
  std::string list;
  for (const std::string& known : names) list += (list.empty() ? "" : ", ") + Excerpt(known);
  return fmt::format("; known: {}", list);
}

}  // namespace millrace
