// Prints the theater figures of news-events on news-families.
#include <fmt/format.h>

#include "tests/bench/news_events.h"
#include "tests/bench/theater.h"

int main() {
  const auto pipeline = millrace::LoadNewsEvents();
  if (!pipeline.ok()) {
    fmt::print(stderr, "{}\n", millrace::MessageOf(pipeline.status()));
    return 1;
  }
  const auto figures = millrace::MeasureTheaters(*pipeline, millrace::DataDirectory());
  if (!figures.ok()) {
    fmt::print("theater: skipped, {}\n", millrace::MessageOf(figures.status()));
    return 0;
  }
  fmt::print(
      "theater on news-families: right {:.1f}% of {} rows (must be 95%), named {:.1f}% of {} (must be 75%), "
      "{:.0f} us a row for all rules\n",
      100 * figures->right_share(), figures->judged, 100 * figures->named_share(), figures->rows,
      static_cast<double>(figures->elapsed.count()) / 1e3 / static_cast<double>(figures->rows));
  return figures->right_share() >= 0.95 && figures->named_share() >= 0.75 ? 0 : 1;
}
