// Measures how often the theater that news-events gives a title agrees with the title's labels, on news-families.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace {

struct TheaterFigures {
  int64_t rows = 0;
  int64_t named = 0;   // rows with a theater
  int64_t judged = 0;  // named rows whose labels have subregions of one theater
  int64_t right = 0;   // judged rows whose theater is that one
  Duration elapsed{};  // duration of the rules for all rows

  double named_share() const { return static_cast<double>(named) / static_cast<double>(rows); }
  double right_share() const { return static_cast<double>(right) / static_cast<double>(judged); }
};

// Returns the figures. NOT_FOUND if the set is absent. REQUIRES: `pipeline` is bound (LoadNewsEvents).
StatusOr<TheaterFigures> MeasureTheaters(const v1::Pipeline& pipeline, const std::string& data_directory);

}  // namespace millrace
