// How well a result of news-events agrees with the true families.
#pragma once

#include <string>

#include "server/base/status.h"
#include "tools/agreement/scores.h"

namespace millrace {

struct Agreement {
  Scores scores;
  Scores alone;  // of every title by itself
  size_t titles = 0;
  size_t assigned = 0;  // in a family of the result
};

// `result` is a SQLite file with the table family_titles, `truth` a CSV file with the columns id and family; titles in
// no family count as families of their own. NOT_FOUND where a file is absent, INVALID_ARGUMENT where it is another
// thing; what is wrong is said with the file's name.
StatusOr<Agreement> Agree(const std::string& result, const std::string& truth);

}  // namespace millrace
