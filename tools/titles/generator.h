// Generator of the demo's titles: thirty days of invented news with the true families; equal seeds give equal titles. A
// family has several headlines over some days. Some families resemble others (the same kind of event in the same
// country, or the same city some weeks later), and some titles belong to no family.
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
