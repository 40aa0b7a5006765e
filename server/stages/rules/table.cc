#include "server/stages/rules/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "server/base/utf8.h"
#include "server/text/csv_scanner.h"
#include "server/text/encoding.h"

namespace millrace::rules {
namespace {

Status TableError(std::string_view what) { return MakeError(Reason::kInvalidDefinition, what); }

std::vector<std::string> CellsOf(const std::vector<CsvField>& fields, std::string_view row) {
  std::vector<std::string> cells;
  for (const CsvField& field : fields) cells.push_back(CsvText(field, row));
  return cells;
}

Status CheckColumns(const std::vector<std::string>& columns) {
  std::set<std::string_view> seen;
  for (const std::string& column : columns) {
    if (!seen.insert(column).second) {
      return TableError(fmt::format("the header names column \"{}\" twice", Excerpt(column)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<Table> ReadTable(std::string_view csv) {
  const StatusOr<size_t> begin = BeginningOfText(csv);
  if (!begin.ok()) return TableError(MessageOf(begin.status()));
  Table table;
  CsvScanner scanner({});
  int64_t line = 1;
  for (size_t at = *begin; at < csv.size(); at += scanner.size(), scanner.Reset()) {
    const CsvScanner::Result found = scanner.Scan(csv.substr(at), true);
    const bool is_whole = found != CsvScanner::Result::kBad;
    const std::string_view row = csv.substr(at, is_whole ? scanner.size() : std::string_view::npos);
    const auto wrong = [&](size_t byte, std::string_view problem) {
      const auto breaks = std::count(row.begin(), row.begin() + static_cast<ptrdiff_t>(byte), '\n');
      return TableError(fmt::format("line {}, byte {}: {}", line + breaks, at + byte, problem));
    };
    if (!is_whole) return wrong(scanner.problem_at(), scanner.problem());
    if (found == CsvScanner::Result::kRow) {
      if (const size_t nul = row.find('\0'); nul != std::string_view::npos) return wrong(nul, "the row has a NUL byte");
      if (const size_t byte = Utf8End(row); byte < row.size()) return wrong(byte, kNotUtf8);
      std::vector<std::string> cells = CellsOf(scanner.fields(), row);
      if (table.columns.empty()) {
        MR_RETURN_IF_ERROR(CheckColumns(cells));
        table.columns = std::move(cells);
        scanner.LimitColumns(table.columns.size());
      } else if (cells.size() != table.columns.size()) {
        return wrong(0, fmt::format("the row has {} of the header's {} fields", cells.size(), table.columns.size()));
      } else {
        table.rows.push_back(std::move(cells));
      }
    }
    line += std::count(row.begin(), row.end(), '\n');
  }
  if (table.columns.empty()) return TableError("the file has no header row");
  if (table.rows.empty()) return TableError("the table has no rows");
  return table;
}

}  // namespace millrace::rules
