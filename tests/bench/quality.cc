// Measures how well news-events groups titles on the labelled sets.
//
// Usage: quality_bench [PIPELINE.yaml]. Items pass through the stages of the pipeline's file as in the server, with one
// set of parameters for all sets. For comparison, prints also the figures of every title alone and of a plain baseline
// at the best threshold for each set and labelling. Figures below their bound are marked MISSED, and the exit code is
// then 1.

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/bench/families.h"
#include "tests/bench/labelled_sets.h"
#include "tests/bench/news_events.h"
#include "tests/bench/plain_baseline.h"
#include "tests/bench/theater.h"

namespace millrace {
namespace {

// Least shares of rows that are right, and that have a theater.
constexpr double kRightMin = 0.95;
constexpr double kNamedMin = 0.75;

// Returns true if the pipeline's families must be as good as the baseline's on this set.
bool IsJudged(const LabelledSet& set) { return set.name == "news-uci" || set.name == "news-events-ecbplus"; }

void PrintRow(const std::string& name, const Scores& scores, const std::string& note) {
  fmt::print("  {:<38} {:.3f}  {:.3f}  {:.3f}  {:.3f}  {:>5.1f}%  {:>5} of {:>4} ({:>4})  {}\n", name, scores.precision,
             scores.recall, scores.f1, scores.pairwise_f1, 100 * scores.assigned, scores.found, scores.truth,
             scores.matched, note);
}

// Prints the best baseline and returns its F1.
double PrintBaseline(const std::vector<Joining>& tree, size_t items, const Labels& truth) {
  Scores best;
  double best_threshold = 0;
  for (int step = 1; step <= 100; ++step) {
    const Scores scores = ScoresOf(CutAt(tree, items, step / 100.0), truth);
    if (scores.f1 <= best.f1) continue;
    best = scores;
    best_threshold = step / 100.0;
  }
  PrintRow("plain average linkage, best threshold", best, fmt::format("at {:.2f}", best_threshold));
  return best.f1;
}

Status PrintSet(const v1::Pipeline& pipeline, const LabelledSet& set, int& missed) {
  MR_ASSIGN_OR_RETURN(std::vector<InputItem> prepared, Prepared(pipeline, set.items));
  const auto begin = std::chrono::steady_clock::now();
  MR_ASSIGN_OR_RETURN(const std::vector<InputItem> families, FamiliesOf(pipeline, std::move(prepared)));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  MR_ASSIGN_OR_RETURN(const Labels found, FamilyLabels(families, set.items));
  std::vector<std::string> texts;
  for (const InputItem& item : set.items) {
    texts.push_back(FieldOf(item, "title") + " " + FieldOf(item, "text"));
  }
  const std::vector<Joining> tree = PlainTree(texts);
  fmt::print("\n{}: {} items, cluster and merge in {:.2f} s\n", set.name, set.items.size(), seconds);
  for (const auto& [labelling, names] : set.labels) {
    const Labels truth = LabelsOf(names);
    fmt::print("  {:<38} {:<5}  {:<5}  {:<5}  {:<5}  {:>6}  {:>5}    {:>4}\n", labelling, "prec", "rec", "F1", "pair",
               "in one", "of 3+", "true (found)");
    PrintRow("every title alone", ScoresOf(EachAlone(truth.size()), truth), "");
    const double baseline = PrintBaseline(tree, set.items.size(), truth);
    const Scores scores = ScoresOf(found, truth);
    const bool is_missed = IsJudged(set) && scores.f1 < baseline;
    PrintRow("news-events", scores, is_missed ? "MISSED" : "");
    if (is_missed) ++missed;
  }
  return absl::OkStatus();
}

Status PrintTheaters(const v1::Pipeline& pipeline, int& missed) {
  const StatusOr<TheaterFigures> figures = MeasureTheaters(pipeline, DataDirectory());
  if (absl::IsNotFound(figures.status())) return absl::OkStatus();  // the set is absent, which was printed before
  MR_RETURN_IF_ERROR(figures.status());
  const bool is_missed = figures->right_share() < kRightMin || figures->named_share() < kNamedMin;
  if (is_missed) ++missed;
  fmt::print(
      "\ntheater of news-families: {:.1f}% right of {} rows where one is named and the labels lie in one; named in "
      "{:.1f}% of {}{}\n",
      100 * figures->right_share(), figures->judged, 100 * figures->named_share(), figures->rows,
      is_missed ? "   MISSED" : "");
  return absl::OkStatus();
}

Status Measure(const std::string& path, int& missed) {
  MR_ASSIGN_OR_RETURN(const v1::Pipeline pipeline, LoadNewsEvents(path));
  std::vector<std::string> missing;
  const std::vector<LabelledSet> sets = LabelledSets(StageNamed(pipeline, "titles").fetch(), missing);
  for (const std::string& what : missing) {
    fmt::print("left out, since its labelled set is not there (MILLRACE_DATA): {}\n", what);
  }
  for (const LabelledSet& set : sets) MR_RETURN_IF_ERROR(PrintSet(pipeline, set, missed));
  return PrintTheaters(pipeline, missed);
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  int missed = 0;
  const millrace::Status measured = millrace::Measure(argc > 1 ? argv[1] : millrace::kNewsEventsFile, missed);
  if (measured.ok()) return missed == 0 ? 0 : 1;
  fmt::print(stderr, "{}\n", millrace::MessageOf(measured));
  for (const auto& wrong : millrace::ViolationsOf(measured)) {
    fmt::print(stderr, "  {}: {}\n", wrong.field, wrong.description);
  }
  return 1;
}
