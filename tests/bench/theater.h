// How often the theater that news-events gives a title is the one that its labels tell of, on news-families.
#pragma once

#include <cstdint>
#include <string>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace {

struct TheaterFigures {
  int64_t rows = 0;
  int64_t named = 0;   // rows that got a theater
  int64_t judged = 0;  // of those: the labels' subregions lie in one theater
  int64_t right = 0;   // of those: it is that one
  Duration elapsed{};  // for all rows and rules

  double named_share() const { return static_cast<double>(named) / static_cast<double>(rows); }
  double right_share() const { return static_cast<double>(right) / static_cast<double>(judged); }
};

// `pipeline` is bound (LoadNewsEvents). NOT_FOUND where the set is absent.
StatusOr<TheaterFigures> MeasureTheaters(const v1::Pipeline& pipeline, const std::string& data_directory);

}  // namespace millrace
