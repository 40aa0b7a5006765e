// A definition file that is a table: CSV (RFC 4180) with a header, small, and refused where any row is wrong, unlike
// data, whose rows may be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"

namespace millrace {

// A table as it was read: every row has as many cells as there are columns.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

// Reads a CSV file in UTF-8. INVALID_ARGUMENT (INVALID_DEFINITION) names the line of what is wrong.
StatusOr<Table> ReadTable(std::string_view csv);

}  // namespace millrace
