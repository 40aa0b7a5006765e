// Prints the cost of the rules and gazetteers of news-events for a title, over the headlines of news-uci.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "server/stages/prepare/prepare.h"
#include "tests/bench/labelled_sets.h"
#include "tests/bench/news_events.h"
#include "tests/stages/barrier.h"

namespace millrace {
namespace {

constexpr int kRounds = 7;
constexpr double kMicrosMax = 20;

// Returns the CPU time of this thread, on which other programs have little influence.
double CpuMicros() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e6 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e3;
}

// Returns the CPU time of the whole stage per title, from the JSON of an item to the JSON of its result, in the best
// round.
StatusOr<double> MicrosPerTitle(const v1::Pipeline& pipeline, const std::vector<InputItem>& titles) {
  const NoFiles files;
  MR_ASSIGN_OR_RETURN(const StageWork work, PrepareKind().make({pipeline, StageNamed(pipeline, "theater"), files}));
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double begin = CpuMicros();
    const std::vector<StageItem> made = WorkAs<PureStage>(work).Compute(Parsed(titles));
    const double micros = (CpuMicros() - begin) / static_cast<double>(made.size());
    best = round == 0 ? micros : std::min(best, micros);
  }
  return best;
}

int Measure() {
  const StatusOr<v1::Pipeline> pipeline = LoadNewsEvents();
  if (!pipeline.ok()) {
    fmt::print(stderr, "{}\n", MessageOf(pipeline.status()));
    return 1;
  }
  const StatusOr<LabelledSet> uci = NewsUci(StageNamed(*pipeline, "titles").fetch());
  if (!uci.ok()) {
    fmt::print("prepare: skipped, {}\n", MessageOf(uci.status()));
    return 0;
  }
  const StatusOr<double> micros = MicrosPerTitle(*pipeline, uci->items);
  if (!micros.ok()) {
    fmt::print(stderr, "{}\n", MessageOf(micros.status()));
    return 1;
  }
  fmt::print("prepare: CPU per title of news-uci, {} titles: {:.1f} us (<= {:.0f} us)\n", uci->items.size(), *micros,
             kMicrosMax);
  return *micros <= kMicrosMax ? 0 : 1;
}

}  // namespace
}  // namespace millrace

int main() { return millrace::Measure(); }
