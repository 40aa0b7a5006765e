#include "server/stages/fetch/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/utf8.h"
#include "server/stages/fetch/row_item.h"
#include "server/stages/typed_value.h"
#include "server/text/csv_scanner.h"
#include "server/text/encoding.h"
#include "server/text/nearest.h"

namespace millrace::fetch {
namespace {

constexpr int64_t kFieldBytesDefault = 1 << 20;
constexpr size_t kRowBytesLeast = 16 << 20;

Status SourceError(std::string_view message) { return MakeError(Reason::kInvalidField, message); }

CsvScanner::Limits LimitsOf(const v1::CsvSource& source) {
  CsvScanner::Limits limits;
  if (!source.delimiter().empty()) limits.delimiter = source.delimiter()[0];
  limits.field_bytes =
      static_cast<size_t>(source.max_field_bytes() > 0 ? source.max_field_bytes() : kFieldBytesDefault);
  limits.row_bytes = std::max(kRowBytesLeast, 2 * limits.field_bytes);
  return limits;
}

class CsvReader final : public RowReader {
 public:
  explicit CsvReader(const v1::CsvSource& source) : source_(source), scanner_(LimitsOf(source)) {}

  StatusOr<Rows> Feed(std::string_view bytes, bool end) override;
  std::vector<std::string> Columns() const override { return columns_; }
  std::string State() const override;
  Status Restore(std::string_view state) override;

 private:
  // Returns the place of byte `byte` of `row` for a message. The row begins at byte `row_at` of the bytes of this Feed.
  std::string Place(std::string_view row, size_t row_at, size_t byte) const {
    const auto breaks = std::count(row.begin(), row.begin() + static_cast<ptrdiff_t>(byte), '\n');
    return fmt::format("line {}, byte {}", line_ + breaks, offset_ + row_at + byte);
  }
  Status TakeHeader(std::string_view row);
  Status CheckDelimiter(const std::vector<std::string>& names) const;
  Status UseHeader(std::vector<std::string> names);
  // Sets the types of the columns with these names in the file and after renaming.
  Status UseTypes(const std::vector<std::string>& names, const std::vector<std::string>& renamed);
  FetchedRow MakeRow(std::string_view row, size_t row_at) const;
  Status BadHeader(std::string_view problem) const {
    return SourceError(fmt::format("line {}: the header can't be read: {}", line_, problem));
  }

  const v1::CsvSource source_;
  CsvScanner scanner_;

  // Members that State holds.
  bool started_ = false;   // beyond a byte order mark
  bool skipping_ = false;  // what is left of a bad row's line
  int64_t rows_ = 0;
  int64_t line_ = 1;   // of the first byte that is not consumed
  size_t offset_ = 0;  // of that byte
  std::vector<std::string> header_;

  std::vector<std::string> columns_;   // the header after renaming
  std::vector<std::string> openings_;  // what stands before each value in an item: `{"id":`, `,"title":`
  std::optional<size_t> id_column_;
  std::vector<v1::ValueType> types_;  // of the columns; empty: all are text
};

StatusOr<RowReader::Rows> CsvReader::Feed(std::string_view bytes, bool end) {
  Rows result;
  size_t at = 0;
  if (!started_) {
    if (bytes.size() < kEncodingBytes && !end) return result;
    MR_ASSIGN_OR_RETURN(at, BeginningOfText(bytes));
    started_ = true;
  }
  bool more = false;
  while (at < bytes.size() && !more) {
    const std::string_view rest = bytes.substr(at);
    if (skipping_) {
      const size_t line_end = rest.find('\n');
      skipping_ = line_end == std::string_view::npos;
      at += skipping_ ? rest.size() : line_end + 1;
      if (!skipping_) ++line_;
      continue;
    }
    const CsvScanner::Result found = scanner_.Scan(rest, end);
    if (found == CsvScanner::Result::kMore) {
      more = true;
      break;
    }
    size_t size = 0;
    if (found == CsvScanner::Result::kBad) {
      if (header_.empty()) return BadHeader(scanner_.problem());
      ++rows_;
      result.rows.push_back(BadRow(v1::ERROR_REASON_BAD_ROW,
                                   fmt::format("{}: {}", Place(rest, at, scanner_.problem_at()), scanner_.problem())));
      size = scanner_.resume_from();
      skipping_ = true;
      line_ += std::count(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(size), '\n');
    } else {
      size = scanner_.size();
      const std::string_view row = rest.substr(0, size);
      if (found == CsvScanner::Result::kRow && header_.empty()) {
        MR_RETURN_IF_ERROR(TakeHeader(row));
      } else if (found == CsvScanner::Result::kRow) {
        ++rows_;
        result.rows.push_back(MakeRow(row, at));
      }
      line_ += scanner_.has_line_breaks() ? std::count(row.begin(), row.end(), '\n') : 1;
    }
    at += size;
    scanner_.Reset();
  }
  if (end && header_.empty()) return SourceError("the file has no header row");
  result.consumed = at;
  offset_ += at;
  return result;
}

Status CsvReader::TakeHeader(std::string_view row) {
  if (row.find('\0') != std::string_view::npos) return BadHeader("it has a NUL byte");
  if (!IsUtf8(row)) return BadHeader(kNotUtf8);
  std::vector<std::string> names;
  for (const CsvField& field : scanner_.fields()) names.push_back(CsvText(field, row));
  MR_RETURN_IF_ERROR(CheckDelimiter(names));
  return UseHeader(std::move(names));
}

// A header that is one column with another delimiter in it is nearly always the wrong delimiter, and every row would be
// one field of rubbish. A comma may be configured or the default, which nobody can tell apart here.
Status CsvReader::CheckDelimiter(const std::vector<std::string>& names) const {
  const bool is_comma = source_.delimiter().empty() || source_.delimiter() == ",";
  if (!is_comma || names.size() != 1 || source_.rename().contains(names.front())) return absl::OkStatus();
  for (const auto& [delimiter, name] : {std::pair(';', ";"), std::pair('\t', "\\t"), std::pair('|', "|")}) {
    const auto count = std::count(names.front().begin(), names.front().end(), delimiter);
    if (count == 0) continue;
    return SourceError(fmt::format(
        "the header is one column, \"{}\"; if its {} columns are separated by `{}`, add `delimiter: \"{}\"` to `csv`; "
        "if it is one column, give it a name of its own by `rename`",
        Excerpt(names.front()), count + 1, name, name));
  }
  return absl::OkStatus();
}

Status CsvReader::UseHeader(std::vector<std::string> names) {
  std::vector<std::string> renamed;
  std::set<std::string> seen;
  std::set<std::string> twice;
  for (const std::string& name : names) {
    const auto found = source_.rename().find(name);
    renamed.push_back(found == source_.rename().end() ? name : found->second);
    if (!seen.insert(renamed.back()).second) twice.insert(renamed.back());
  }
  if (!twice.empty()) {
    std::string list;
    for (const std::string& name : twice) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", Excerpt(name));
    return SourceError(fmt::format("the header names columns twice: {}; every column needs a name of its own", list));
  }
  for (const std::string& required : source_.required_columns()) {
    if (!seen.contains(required)) {
      return SourceError(
          fmt::format("the header has no column \"{}\"{}", Excerpt(required), DidYouMean(required, renamed)));
    }
  }
  id_column_.reset();
  if (!source_.id_column().empty()) {
    for (const std::vector<std::string>* list : {&renamed, &names}) {
      const auto found = std::find(list->begin(), list->end(), source_.id_column());
      if (found == list->end() || id_column_) continue;
      id_column_ = static_cast<size_t>(found - list->begin());
    }
    if (!id_column_) {
      return SourceError(fmt::format("the header has no column \"{}\" (id_column){}", Excerpt(source_.id_column()),
                                     DidYouMean(source_.id_column(), names)));
    }
  }
  MR_RETURN_IF_ERROR(UseTypes(names, renamed));
  openings_.clear();
  for (const std::string& name : renamed) {
    std::string opening(1, openings_.empty() ? '{' : ',');
    AppendJsonString(name, opening);
    opening.push_back(':');
    openings_.push_back(std::move(opening));
  }
  header_ = std::move(names);
  columns_ = std::move(renamed);
  scanner_.LimitColumns(header_.size());
  return absl::OkStatus();
}

Status CsvReader::UseTypes(const std::vector<std::string>& names, const std::vector<std::string>& renamed) {
  types_.clear();
  if (source_.types().empty()) return absl::OkStatus();
  types_.assign(names.size(), v1::VALUE_TYPE_TEXT);
  // Columns are named as they will be called, or as the file calls them. In order, so that the same fault is named
  // first.
  const std::map<std::string, v1::ValueType> types = [&] {
    std::map<std::string, v1::ValueType> sorted;
    for (const auto& [name, type] : source_.types()) sorted.emplace(name, static_cast<v1::ValueType>(type));
    return sorted;
  }();
  for (const auto& [name, type] : types) {
    const auto renamed_at = std::find(renamed.begin(), renamed.end(), name);
    const auto named_at = std::find(names.begin(), names.end(), name);
    if (renamed_at != renamed.end()) {
      types_[static_cast<size_t>(renamed_at - renamed.begin())] = type;
    } else if (named_at != names.end()) {
      types_[static_cast<size_t>(named_at - names.begin())] = type;
    } else {
      return SourceError(
          fmt::format("the header has no column \"{}\" (types){}", Excerpt(name), DidYouMean(name, renamed)));
    }
  }
  return absl::OkStatus();
}

FetchedRow CsvReader::MakeRow(std::string_view row, size_t row_at) const {
  const std::vector<CsvField>& fields = scanner_.fields();
  const auto bad = [&](size_t byte, std::string_view problem) {
    return BadRow(v1::ERROR_REASON_BAD_ROW, fmt::format("{}: {}", Place(row, row_at, byte), problem));
  };
  if (fields.size() != header_.size()) {
    return bad(0, fmt::format("the row has {} of the header's {} fields", fields.size(), header_.size()));
  }
  if (const size_t nul = row.find('\0'); nul != std::string_view::npos) return bad(nul, "the row has a NUL byte");
  if (const size_t byte = Utf8End(row); byte < row.size()) return bad(byte, kNotUtf8);
  std::string id;
  if (id_column_) {
    id = CsvText(fields[*id_column_], row);
    if (const std::optional<std::string> problem = IdProblem(id)) {
      return BadRow(v1::ERROR_REASON_BAD_ITEM_ID,
                    fmt::format("{}: {}", Place(row, row_at, fields[*id_column_].begin), *problem));
    }
  } else {
    id = fmt::format("row-{}", rows_);
  }
  std::string json;
  json.reserve(row.size() + 32 * fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    json += openings_[i];
    if (!types_.empty() && types_[i] != v1::VALUE_TYPE_TEXT) {
      const StatusOr<json::value> value = TypedText(CsvText(fields[i], row), types_[i]);
      if (!value.ok()) {
        return bad(fields[i].begin, fmt::format("column \"{}\": {}", Excerpt(header_[i]), MessageOf(value.status())));
      }
      json += WriteJson(*value);
    } else if (fields[i].doubled) {
      AppendJsonString(CsvText(fields[i], row), json);
    } else {
      AppendJsonString(row.substr(fields[i].begin, fields[i].end - fields[i].begin), json);
    }
  }
  json.push_back('}');
  return GoodRow(std::move(id), std::move(json));
}

std::string CsvReader::State() const {
  json::object state;
  state["started"] = started_;
  state["skipping"] = skipping_;
  state["rows"] = rows_;
  state["line"] = line_;
  state["offset"] = offset_;
  json::array& names = state["header"].emplace_array();
  for (const std::string& name : header_) names.emplace_back(json::string(name.data(), name.size()));
  return json::serialize(state);
}

Status CsvReader::Restore(std::string_view state) {
  json::error_code error;
  const json::value value = json::parse(json::string_view(state.data(), state.size()), error);
  const json::object* object = error ? nullptr : value.if_object();
  if (object == nullptr) return MakeError(Reason::kStoreCorrupt, "a reader's state is damaged");
  try {
    started_ = object->at("started").as_bool();
    skipping_ = object->at("skipping").as_bool();
    rows_ = object->at("rows").to_number<int64_t>();
    line_ = object->at("line").to_number<int64_t>();
    offset_ = object->at("offset").to_number<size_t>();
    std::vector<std::string> names;
    for (const json::value& name : object->at("header").as_array()) {
      names.emplace_back(name.as_string().data(), name.as_string().size());
    }
    scanner_.Reset();
    header_.clear();
    return names.empty() ? absl::OkStatus() : UseHeader(std::move(names));
  } catch (const std::exception&) {
    return MakeError(Reason::kStoreCorrupt, "a reader's state is damaged");
  }
}

}  // namespace

std::unique_ptr<RowReader> MakeCsvReader(const v1::CsvSource& source) { return std::make_unique<CsvReader>(source); }

}  // namespace millrace::fetch
