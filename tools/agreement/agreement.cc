#include "tools/agreement/agreement.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "server/stages/rules/table.h"

namespace millrace {
namespace {

using FamilyOfTitle = std::unordered_map<std::string, std::string>;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

Status Wrong(const std::string& path, std::string_view what) {
  return MakeError(Reason::kFileError, fmt::format("{}: {}", path, what));
}

StatusOr<FamilyOfTitle> ReadFamilies(const std::string& path) {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, CloseDatabase> database(opened);
  if (code != SQLITE_OK) return MakeError(Reason::kFileError, path + ": no such file");
  sqlite3_stmt* prepared = nullptr;
  const char* query = "SELECT title_id, family_id FROM family_titles";
  if (sqlite3_prepare_v2(opened, query, -1, &prepared, nullptr) != SQLITE_OK) {
    return Wrong(path, "expected a SQLite file with the table family_titles");
  }
  const std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement(prepared);
  const auto text = [&](int column) {
    const unsigned char* bytes = sqlite3_column_text(prepared, column);
    return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes));
  };
  FamilyOfTitle families;
  int step = SQLITE_OK;
  while ((step = sqlite3_step(prepared)) == SQLITE_ROW) {
    // With a title in two families, the measure would depend on the order of rows.
    if (!families.emplace(text(0), text(1)).second) return Wrong(path, "title " + text(0) + " is in two families");
  }
  if (step != SQLITE_DONE) return Wrong(path, sqlite3_errmsg(opened));
  return families;
}

std::optional<size_t> Column(const rules::Table& table, std::string_view name) {
  const auto found = std::find(table.columns.begin(), table.columns.end(), name);
  if (found == table.columns.end()) return std::nullopt;
  return static_cast<size_t>(found - table.columns.begin());
}

}  // namespace

StatusOr<Agreement> Agree(const std::string& result, const std::string& truth) {
  MR_ASSIGN_OR_RETURN(const FamilyOfTitle families, ReadFamilies(result));
  std::ifstream file(truth, std::ios::binary);
  if (!file) return MakeError(Reason::kFileError, truth + ": no such file");
  const std::string csv{std::istreambuf_iterator<char>(file), {}};
  const StatusOr<rules::Table> table = rules::ReadTable(csv);
  if (!table.ok()) return Wrong(truth, MessageOf(table.status()));
  const std::optional<size_t> id = Column(*table, "id");
  const std::optional<size_t> family = Column(*table, "family");
  if (!id || !family) return Wrong(truth, "expected the columns id and family");
  Agreement agreement;
  std::vector<std::string> found;
  std::vector<std::string> expected;
  for (const std::vector<std::string>& row : table->rows) {
    const auto at = families.find(row[*id]);
    agreement.assigned += at == families.end() ? 0 : 1;
    found.push_back(at == families.end() ? "" : at->second);
    expected.push_back(row[*family]);
  }
  agreement.titles = expected.size();
  const Labels labels = LabelsOf(expected);
  agreement.scores = ScoresOf(LabelsOf(found), labels);
  agreement.alone = ScoresOf(EachAlone(expected.size()), labels);
  return agreement;
}

}  // namespace millrace
