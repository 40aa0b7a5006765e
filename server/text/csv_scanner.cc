#include "server/text/csv_scanner.h"

#include <fmt/format.h>

namespace millrace {

std::string CsvText(const CsvField& field, std::string_view row) {
  const std::string_view raw = row.substr(field.begin, field.end - field.begin);
  if (!field.doubled) return std::string(raw);
  std::string text;
  text.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    text.push_back(raw[i]);
    if (raw[i] == '"') ++i;
  }
  return text;
}

void CsvScanner::Reset() {
  state_ = State::kFieldStart;
  at_ = 0;
  field_ = {};
  broken_ = false;
  fields_.clear();
}

CsvScanner::Result CsvScanner::Scan(std::string_view bytes, bool end) {
  // Ignores bytes beyond the limit, so that the result does not depend on the pieces in which the bytes arrive.
  const bool too_large = bytes.size() > limits_.row_bytes;
  if (too_large) bytes = bytes.substr(0, limits_.row_bytes);
  if (at_ > bytes.size()) Reset();
  const Result result = Step(bytes, end && !too_large);
  if (result != Result::kMore || !too_large) return result;
  return Bad(fmt::format("the row is larger than {} bytes", limits_.row_bytes), 0, limits_.row_bytes);
}

CsvScanner::Result CsvScanner::Step(std::string_view bytes, bool end) {
  while (true) {
    switch (state_) {
      case State::kFieldStart:
        if (fields_.size() == limits_.columns) {
          return Bad(fmt::format("the row has more than {} fields", limits_.columns), at_, at_);
        }
        if (at_ == bytes.size()) return EndOfBytes(end);
        field_ = {.begin = at_};
        state_ = State::kPlain;
        if (bytes[at_] == '"') {
          field_.begin = ++at_;
          state_ = State::kQuoted;
        }
        break;
      case State::kPlain: {
        // A quote inside a field that does not begin with one is an ordinary character (5" pipe).
        const char* const data = bytes.data();
        while (at_ < bytes.size() && data[at_] != limits_.delimiter && data[at_] != '\n' && data[at_] != '\r') ++at_;
        if (at_ - field_.begin > limits_.field_bytes) return FieldTooLarge(field_.begin);
        if (at_ == bytes.size()) return EndOfBytes(end);
        if (EndField(bytes[at_], at_)) return EndOfRow();
        break;
      }
      case State::kQuoted: {
        const size_t quote = bytes.find('"', at_);
        at_ = quote == std::string_view::npos ? bytes.size() : quote;
        if (at_ - field_.begin > limits_.field_bytes) return FieldTooLarge(field_.begin - 1);
        if (quote == std::string_view::npos) return EndOfBytes(end);
        ++at_;
        state_ = State::kQuoteSeen;
        break;
      }
      case State::kQuoteSeen: {
        if (at_ == bytes.size()) return EndOfBytes(end);
        const char c = bytes[at_];
        if (c == '"') {
          field_.doubled = true;
          ++at_;
          state_ = State::kQuoted;
        } else if (c == limits_.delimiter || c == '\n' || c == '\r') {
          broken_ = true;
          if (EndField(c, at_ - 1)) return EndOfRow();
        } else {
          return Bad("text follows a closing quote; a quote inside a quoted field is written twice", at_,
                     field_.begin - 1);
        }
        break;
      }
      case State::kReturnSeen:
        if (at_ == bytes.size()) return EndOfBytes(end);
        if (bytes[at_] != '\n') {
          return Bad("a carriage return outside quotes has no line feed after it", at_ - 1, at_ - 1);
        }
        ++at_;
        return EndOfRow();
    }
  }
}

void CsvScanner::PutField(size_t end) {
  field_.end = end;
  fields_.push_back(field_);
}

// Adds the field that ends at `end`, and passes over the character at `at_` that ended it. Returns true if the row ends
// here too.
bool CsvScanner::EndField(char ended_by, size_t end) {
  PutField(end);
  ++at_;
  state_ = ended_by == '\r' ? State::kReturnSeen : State::kFieldStart;
  return ended_by == '\n';
}

CsvScanner::Result CsvScanner::EndOfBytes(bool end) {
  if (!end) return Result::kMore;
  switch (state_) {
    case State::kFieldStart:
      field_ = {.begin = at_};
      PutField(at_);
      return EndOfRow();
    case State::kPlain:
      PutField(at_);
      return EndOfRow();
    case State::kQuoteSeen:
      broken_ = true;
      PutField(at_ - 1);
      return EndOfRow();
    case State::kQuoted:
      return Bad("a quote is opened and never closed", field_.begin - 1, field_.begin - 1);
    case State::kReturnSeen:
      break;
  }
  return Bad("the file ends with a carriage return that has no line feed after it", at_ - 1, at_ - 1);
}

CsvScanner::Result CsvScanner::EndOfRow() {
  const bool blank = fields_.size() == 1 && fields_[0].begin == 0 && fields_[0].end == 0;
  return blank ? Result::kBlank : Result::kRow;
}

CsvScanner::Result CsvScanner::Bad(std::string problem, size_t at, size_t resume_from) {
  problem_ = std::move(problem);
  problem_at_ = at;
  resume_from_ = resume_from;
  return Result::kBad;
}

CsvScanner::Result CsvScanner::FieldTooLarge(size_t resume_from) {
  return Bad(fmt::format("field {} is larger than {} bytes, or its quote is never closed", fields_.size() + 1,
                         limits_.field_bytes),
             resume_from, resume_from);
}

}  // namespace millrace
