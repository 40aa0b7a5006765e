// A definition file that is a table: a small CSV file (RFC 4180) with a header. Unlike data, it is refused if any row
// is wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace::rules {

// A table. Every row has one cell for each column.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

// Reads a CSV file in UTF-8. INVALID_ARGUMENT (INVALID_DEFINITION), with the line of the problem.
StatusOr<Table> ReadTable(std::string_view csv);

}  // namespace millrace::rules
