#include "server/stages/prepare/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace millrace {
namespace {

Status LineError(size_t line, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_DEFINITION", fmt::format("line {}: {}", line, what));
}

// Reads records one after the other.
class RecordReader {
 public:
  explicit RecordReader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  bool done() const { return at_ == text_.size(); }
  size_t line() const { return record_line_; }

  StatusOr<std::vector<std::string>> Next() {
    record_line_ = line_;
    std::vector<std::string> cells;
    while (true) {
      cells.emplace_back();
      MR_RETURN_IF_ERROR(ReadCell(cells.back()));
      if (done()) return cells;
      const char after = text_[at_++];
      if (after == ',') continue;
      ++line_;
      return cells;
    }
  }

 private:
  // Leaves `at_` at the comma, the line feed or the end behind the cell.
  Status ReadCell(std::string& cell) {
    if (done() || text_[at_] != '"') {
      const size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
      cell = text_.substr(at_, end - at_);
      at_ = end;
      if ((done() || text_[at_] == '\n') && cell.ends_with('\r')) cell.pop_back();
      if (cell.find_first_of("\"\r") != std::string::npos)
        return LineError(line_, "a quote or return inside of a bare field");
      return {};
    }
    for (++at_; !done(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] == '"') {
        ++at_;
        if (text_.substr(at_).starts_with("\r\n")) ++at_;
        if (done() || text_[at_] == ',' || text_[at_] == '\n') return {};
        if (text_[at_] != '"') return LineError(line_, "text behind a closing quote");
      }
      cell.push_back(text_[at_]);
    }
    return LineError(record_line_, "a quote is not closed");
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t record_line_ = 1;
};

}  // namespace

StatusOr<Table> ReadTable(std::string_view csv) {
  RecordReader reader(csv);
  if (reader.done()) return LineError(1, "expected a header");
  Table table;
  MR_ASSIGN_OR_RETURN(table.columns, reader.Next());
  const std::set<std::string> names(table.columns.begin(), table.columns.end());
  if (names.size() < table.columns.size() || names.contains(""))
    return LineError(1, "every column needs a name of its own");
  while (!reader.done()) {
    MR_ASSIGN_OR_RETURN(std::vector<std::string> row, reader.Next());
    if (row.size() != table.columns.size()) {
      return LineError(reader.line(), fmt::format("expected {} fields, got {}", table.columns.size(), row.size()));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace millrace
