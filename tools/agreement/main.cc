// millrace_agreement RESULT.db TRUTH.csv: prints how well the families of news-events (table family_titles) agree with
// the true ones (columns id, family). Titles without a family count as families of their own.
#include <fmt/format.h>

#include "tools/agreement/agreement.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: millrace_agreement RESULT.db TRUTH.csv\n");
    return 2;
  }
  const millrace::StatusOr<millrace::Agreement> agreement = millrace::Agree(argv[1], argv[2]);
  if (!agreement.ok()) {
    fmt::print(stderr, "{}\n", millrace::MessageOf(agreement.status()));
    return 1;
  }
  const millrace::Scores& scores = agreement->scores;
  fmt::print(
      "Agreement with the true families, BCubed: precision {:.3f}, recall {:.3f}, F1 {:.3f} (titles alone: {:.3f})\n",
      scores.precision, scores.recall, scores.f1, agreement->alone.f1);
  fmt::print("{} of {} true families of three titles and more were found; {} of {} titles are in a family\n",
             scores.matched, scores.truth, agreement->assigned, agreement->titles);
  return 0;
}
