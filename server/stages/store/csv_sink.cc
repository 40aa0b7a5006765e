#include "server/stages/store/csv_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/number.h"
#include "server/stages/store/aside_file.h"
#include "server/stages/store/pages.h"

namespace millrace::store {
namespace {

// Appends a cell, in quotes if it needs them. An empty cell of the only column is `""`, because readers skip empty
// lines.
void AppendCell(std::string_view text, bool only, std::string& line) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos && !(only && text.empty())) {
    line += text;
    return;
  }
  line.push_back('"');
  for (const char c : text) {
    if (c == '"') line.push_back('"');
    line.push_back(c);
  }
  line.push_back('"');
}

// Removes the digits at the beginning of `text` and returns how many they were.
size_t TakeDigits(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(end);
  return end;
}

// Returns true for a number such as -3.25 or +1e-5. A spreadsheet shows it and runs nothing.
bool IsPlainNumber(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  size_t digits = TakeDigits(text);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    digits += TakeDigits(text);
  }
  if (digits == 0) return false;
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    if (TakeDigits(text) == 0) return false;
  }
  return text.empty();
}

// Returns true if a spreadsheet may run the cell as a formula, by its first character (OWASP, "CSV Injection").
bool IsFormula(std::string_view text) {
  using std::string_view_literals::operator""sv;
  return !text.empty() && "=+-@\t\r\n"sv.find(text[0]) != std::string_view::npos && !IsPlainNumber(text);
}

class CsvFile {
 public:
  CsvFile(const v1::CsvSink& sink, OutputOpener open, std::string_view owner)
      : sink_(sink), file_(std::move(open), sink.path(), owner) {}

  Status Open() {
    MR_RETURN_IF_ERROR(file_.Open());
    std::string line;
    for (const std::string& column : sink_.columns()) {
      if (!line.empty()) line.push_back(',');
      AppendCell(column, false, line);
    }
    return file_.Write(line + "\r\n");
  }

  Status WriteItems(const std::vector<InputItem>& items) {
    for (const InputItem& item : items) {
      MR_ASSIGN_OR_RETURN(const json::value value, ParseExact(*item.json));
      std::string line;
      for (int i = 0; i < sink_.columns_size(); ++i) {
        if (i > 0) line.push_back(',');
        const std::string cell = CellText(FindPath(value, sink_.columns(i)));
        if (cell.find('\0') != std::string::npos) {
          return MakeError(Reason::kSink,
                           fmt::format("{}: column {} of item {} has a NUL character, which no CSV file can have; "
                                       "remove it with a `replace` rule, or store JSON Lines",
                                       sink_.path(), Excerpt(sink_.columns(i)), Excerpt(item.id, 256)));
        }
        AppendCell(cell, sink_.columns_size() == 1, line);
      }
      MR_RETURN_IF_ERROR(file_.Write(line + "\r\n"));
    }
    return absl::OkStatus();
  }

  Status Commit() { return file_.Commit(); }

 private:
  std::string CellText(const json::value* value) const {
    if (value == nullptr || value->is_null()) return "";
    const json::string* held = IfText(*value);
    if (held == nullptr) return WriteJson(*value);
    const std::string_view text(held->data(), held->size());
    std::string cell;
    if (IsFormula(text) && !sink_.keep_formulas()) cell.push_back('\'');
    return cell.append(text);
  }

  const v1::CsvSink sink_;
  AsideFile file_;
};

class CsvSink final : public SinkStage {
 public:
  CsvSink(const v1::CsvSink& sink, OutputOpener open) : sink_(sink), open_(std::move(open)) {}

  Task<Status> Write(StageContext& context, ItemReader& reader) const override {
    const auto file = std::make_shared<CsvFile>(sink_, open_, AsideOwner(context.run, context.stage));
    MR_CO_RETURN_IF_ERROR(co_await OpenPatiently(context, file));
    const auto write = [](CsvFile& open, const std::vector<InputItem>& items) { return open.WriteItems(items); };
    MR_CO_RETURN_IF_ERROR(co_await ForEachPage(context, reader, file, write));
    co_return co_await OnPool(context, file, [](CsvFile& whole) { return whole.Commit(); });
  }

 private:
  const v1::CsvSink sink_;
  const OutputOpener open_;
};

}  // namespace

std::unique_ptr<SinkStage> MakeCsvSink(const v1::CsvSink& sink, OutputOpener open) {
  return std::make_unique<CsvSink>(sink, std::move(open));
}

}  // namespace millrace::store
