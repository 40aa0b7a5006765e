#include "tools/agreement/bcubed.h"

#include <map>
#include <utility>

namespace millrace {

Agreement BCubed(const std::vector<std::string>& groups, const std::vector<std::string>& families) {
  std::map<std::string, double> group_sizes;
  std::map<std::string, double> family_sizes;
  std::map<std::pair<std::string, std::string>, double> both;
  for (size_t i = 0; i < groups.size(); ++i) {
    ++family_sizes[families[i]];
    if (groups[i].empty()) continue;
    ++group_sizes[groups[i]];
    ++both[{groups[i], families[i]}];
  }
  Agreement agreement;
  if (groups.empty()) return agreement;
  for (size_t i = 0; i < groups.size(); ++i) {
    const double shared = groups[i].empty() ? 1 : both[{groups[i], families[i]}];
    agreement.precision += groups[i].empty() ? 1 : shared / group_sizes[groups[i]];
    agreement.recall += shared / family_sizes[families[i]];
  }
  agreement.precision /= static_cast<double>(groups.size());
  agreement.recall /= static_cast<double>(groups.size());
  agreement.f1 = 2 * agreement.precision * agreement.recall / (agreement.precision + agreement.recall);
  return agreement;
}

}  // namespace millrace
