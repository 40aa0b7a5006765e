// Agreement of a result of news-events with the true families.
#pragma once

#include <string>

#include "server/base/status.h"
#include "tools/agreement/scores.h"

namespace millrace {

struct Agreement {
  Scores scores;
  Scores alone;  // baseline: every title by itself
  size_t titles = 0;
  size_t assigned = 0;  // titles in a family of the result
};

// Compares `result`, a SQLite file with the table family_titles, with `truth`, a CSV file with the columns id and
// family. Titles without a family count as families of their own. Errors: FILE_ERROR with the file's name if it does
// not exist or has another format.
StatusOr<Agreement> Agree(const std::string& result, const std::string& truth);

}  // namespace millrace
