// Finds the fields of one CSV row (RFC 4180) in bytes that come piece by piece. It keeps where it was, so that a row of
// many pieces is looked at once.
//
// Why not a library: libcsv (Debian) tells neither byte nor line, drops blanks at the borders of fields, takes a lone
// CR for a line end, and can't be stopped and resumed between two rows.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// Where a field's text is: between its quotes, where it has some.
struct CsvField {
  size_t begin = 0;
  size_t end = 0;
  bool doubled = false;  // it has doubled quotes, each of which stands for one
};

class CsvScanner {
 public:
  struct Limits {
    char delimiter = ',';
    size_t field_bytes = 1 << 20;
    size_t row_bytes = 16 << 20;
    size_t columns = 1'000'000;
  };
  enum class Result {
    kMore,   // the row goes on after these bytes
    kRow,    // it is whole
    kBlank,  // it is an empty line
    kBad,    // it can't be read: `problem`
  };

  explicit CsvScanner(Limits limits) : limits_(limits) {}

  // `bytes` begin at the row's first byte, each time. `end`: nothing comes after them.
  Result Scan(std::string_view bytes, bool end);
  // Begins a new row.
  void Reset();

  // At most so many fields a row; beyond it is bad.
  void LimitColumns(size_t columns) { limits_.columns = columns; }

  // Of a whole row.
  const std::vector<CsvField>& fields() const { return fields_; }
  size_t size() const { return at_; }               // bytes, its line end among them
  bool has_line_breaks() const { return broken_; }  // a quoted field may go over several lines

  // Of a bad row: what is wrong and at which byte of it. Reading goes on at the line after the one of byte
  // `resume_from`. A quote that is never closed costs the line that it stands in, not all that it swallows.
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
