// One table of a SQLite sink while a generation is written: which columns it has, which of its rows differ, and which
// rows of earlier generations go.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/base/digest.h"
#include "server/stages/store/sqlite_database.h"
#include "server/stages/store/table_rows.h"

namespace millrace::store {

// What the mode of a table is, where it is not said.
v1::SqliteTable::Mode ModeOf(const v1::SqliteTable& table);

// Whose rows they are.
struct RowOwner {
  std::string pipeline;
  std::string stage;
};

// First told of all rows (Survey), where that is needed, then of all rows again to write them. For the pool.
class TableWriter {
 public:
  // `number` tells it from the sink's other tables.
  TableWriter(const v1::SqliteTable& table, size_t number);

  const std::string& name() const { return table_.table(); }
  const TableRows& rows() const { return rows_; }
  bool appends() const { return ModeOf(table_) == v1::SqliteTable::MODE_APPEND; }

  // Looks at what is there. Then `exists` holds.
  Status Look(SqliteDatabase& database);
  bool exists() const { return !existing_.empty(); }
  // All rows must be seen before the first can be written: to know columns, their types, or whether any row differs.
  bool needs_survey() const { return rows_.implied() || !exists() || appends(); }

  // Takes note of a row.
  Status Survey(const RowParts& row);
  // What all surveyed rows come to.
  std::string Content();
  int64_t surveyed() const { return surveyed_; }

  // In the transaction: makes the table where it is absent, and all else that writing needs. SINK: it can't take the
  // rows.
  Status Begin(SqliteDatabase& database, const RowOwner& owner);
  // Writes a row, where it differs from what is there.
  Status Write(const RowParts& row);
  // After the last row: what earlier generations wrote and this one did not goes, where the mode says so.
  Status Finish();
  int64_t written() const { return written_; }

 private:
  Status Problem(const std::string& what) const;
  void SettleColumns();
  Status Create();
  Status PrepareInsert();
  Status PrepareSeen();
  std::string KeyShown(const std::vector<SqlValue>& key) const;
  std::string TypeOf(const std::string& column) const;
  std::string OwnedName() const { return Quoted("millrace_rows_" + name()); }
  std::string SeenName() const { return "temp." + Quoted("seen_" + std::to_string(number_)); }
  std::string KeyColumns() const;  // their definitions
  std::string SameKey(const std::string& a, const std::string& b) const;

  const v1::SqliteTable table_;
  const size_t number_;
  const TableRows rows_;
  const std::vector<std::string> key_;
  std::map<std::string, std::string> existing_;  // columns of the table that is there, and their types

  // Of the survey.
  std::vector<std::string> fields_;                        // in order of first appearance
  std::map<std::string, std::string, std::less<>> types_;  // of their values; "": none yet
  Digester digester_;
  int64_t surveyed_ = 0;

  // While writing.
  SqliteDatabase* database_ = nullptr;
  RowOwner owner_;
  std::vector<std::string> columns_;
  SqliteStatement insert_;
  std::optional<SqliteStatement> seen_;
  int64_t written_ = 0;
};

}  // namespace millrace::store
