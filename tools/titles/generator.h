// The demo's titles: invented news of thirty days with the true families, the same for the same seed. Families are told
// in several ways over some days; some are near misses of others (the same kind of event in the same country, or the
// same city some weeks later), and some titles belong to nothing.
#pragma once

#include <cstdint>
#include <string>

namespace millrace::titles {

struct GeneratedTitles {
  std::string titles;  // CSV: id, title, date, publisher; in order of date
  std::string truth;   // CSV: id, family
};

GeneratedTitles GenerateTitles(uint64_t seed, int count);

}  // namespace millrace::titles
