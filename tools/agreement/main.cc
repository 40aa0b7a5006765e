// millrace_agreement RESULT.db TRUTH.csv: one line that says how well the families of news-events (table family_titles)
// agree with the true ones (columns id, family). Titles in no family count as families of their own.
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/stages/prepare/table.h"
#include "tools/agreement/bcubed.h"

namespace {

using millrace::Agreement;
using millrace::Table;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

// The family of each title; nothing where the file is no result of news-events.
std::optional<std::unordered_map<std::string, std::string>> ReadFamilies(const std::string& path) {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, CloseDatabase> database(opened);
  if (code != SQLITE_OK) return std::nullopt;
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v2(opened, "SELECT title_id, family_id FROM family_titles", -1, &prepared, nullptr) !=
      SQLITE_OK) {
    return std::nullopt;
  }
  const std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement(prepared);
  std::unordered_map<std::string, std::string> families;
  const auto text = [&](int column) {
    const unsigned char* bytes = sqlite3_column_text(prepared, column);
    return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes));
  };
  while (sqlite3_step(prepared) == SQLITE_ROW) families[text(0)] = text(1);
  return families;
}

std::optional<size_t> Column(const Table& table, std::string_view name) {
  const auto found = std::find(table.columns.begin(), table.columns.end(), name);
  if (found == table.columns.end()) return std::nullopt;
  return static_cast<size_t>(found - table.columns.begin());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: millrace_agreement RESULT.db TRUTH.csv\n");
    return 2;
  }
  const auto families = ReadFamilies(argv[1]);
  if (!families) {
    fmt::print(stderr, "{}: no SQLite file with a table family_titles\n", argv[1]);
    return 1;
  }
  std::ifstream file(argv[2], std::ios::binary);
  const std::string csv{std::istreambuf_iterator<char>(file), {}};
  const auto truth = millrace::ReadTable(csv);
  if (!truth.ok()) {
    fmt::print(stderr, "{}: {}\n", argv[2], millrace::MessageOf(truth.status()));
    return 1;
  }
  const auto id = Column(*truth, "id");
  const auto family = Column(*truth, "family");
  if (!id || !family) {
    fmt::print(stderr, "{}: expected the columns id and family\n", argv[2]);
    return 1;
  }
  std::vector<std::string> found;
  std::vector<std::string> expected;
  size_t assigned = 0;
  for (const std::vector<std::string>& row : truth->rows) {
    const auto at = families->find(row[*id]);
    assigned += at == families->end() ? 0 : 1;
    found.push_back(at == families->end() ? "" : at->second);
    expected.push_back(row[*family]);
  }
  const Agreement agreement = millrace::BCubed(found, expected);
  const Agreement alone = millrace::BCubed(std::vector<std::string>(expected.size()), expected);
  fmt::print(
      "Agreement with the true families: BCubed precision {:.3f}, recall {:.3f}, F1 {:.3f} (every title alone: F1 "
      "{:.3f}); {} of {} titles in a family\n",
      agreement.precision, agreement.recall, agreement.f1, alone.f1, assigned, expected.size());
  return 0;
}
