// Finds the fields of one CSV row (RFC 4180) in bytes that arrive in pieces. It remembers its position, so that each
// byte of a row in many pieces is read once.
//
// No library does: libcsv (Debian) reports neither byte nor line of an error, drops blanks at the ends of fields, takes
// a lone CR for a line end, and can't be stopped and resumed between two rows.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// Position of a field's text in the row, without the quotes around it.
struct CsvField {
  size_t begin = 0;      // offset of the first byte
  size_t end = 0;        // offset after the last byte
  bool doubled = false;  // the text has doubled quotes, each of which means one
};

// Returns the text of a field of `row`, each doubled quote as one.
std::string CsvText(const CsvField& field, std::string_view row);

// Scanner of one row after another. One thread.
class CsvScanner {
 public:
  // A row that exceeds a limit is bad.
  struct Limits {
    char delimiter = ',';
    size_t field_bytes = 1 << 20;
    size_t row_bytes = 16 << 20;
    size_t columns = 1'000'000;
  };
  enum class Result {
    kMore,   // the row continues after these bytes
    kRow,    // the row is complete
    kBlank,  // the row is an empty line
    kBad,    // the row can't be read; problem() says why
  };

  explicit CsvScanner(Limits limits) : limits_(limits) {}

  // Scans the row of which `bytes` are the beginning: after kMore, call it again with the same bytes and more. Pass
  // `end` if nothing follows them.
  Result Scan(std::string_view bytes, bool end);
  // Begins a new row.
  void Reset();

  // Limits the number of fields in a row.
  void LimitColumns(size_t columns) { limits_.columns = columns; }

  // Results of a complete row (kRow, kBlank).
  const std::vector<CsvField>& fields() const { return fields_; }
  size_t size() const { return at_; }               // bytes, with the line end
  bool has_line_breaks() const { return broken_; }  // true if a field is quoted, so that the row may have several lines

  // Results of a bad row (kBad): the error, and its offset in the row. Reading continues on the line after the one with
  // byte resume_from(), so that a quote that is never closed spoils one line and not all lines after it.
  const std::string& problem() const { return problem_; }
  size_t problem_at() const { return problem_at_; }
  size_t resume_from() const { return resume_from_; }

 private:
  enum class State { kFieldStart, kPlain, kQuoted, kQuoteSeen, kReturnSeen };

  Result Step(std::string_view bytes, bool end);
  Result EndOfBytes(bool end);
  Result EndOfRow();
  Result Bad(std::string problem, size_t at, size_t resume_from);
  Result FieldTooLarge(size_t resume_from);
  void PutField(size_t end);
  bool EndField(char ended_by, size_t end);

  Limits limits_;
  State state_ = State::kFieldStart;
  size_t at_ = 0;
  CsvField field_;
  bool broken_ = false;
  std::vector<CsvField> fields_;
  std::string problem_;
  size_t problem_at_ = 0;
  size_t resume_from_ = 0;
};

}  // namespace millrace
