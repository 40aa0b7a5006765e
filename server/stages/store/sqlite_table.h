// Writer of one table of a SQLite sink: decides its columns, writes the rows that differ and deletes those of earlier
// generations.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/base/digest.h"
#include "server/stages/store/affinity.h"
#include "server/stages/store/sqlite_database.h"
#include "server/stages/store/table_rows.h"

namespace millrace::store {

// Returns the mode of a table. The default is `upsert` if the table has a key, else `append`.
v1::SqliteTable::Mode ModeOf(const v1::SqliteTable& table);

// Owner of rows.
struct RowOwner {
  std::string pipeline;
  std::string stage;
};

// Writer of one generation's rows. Use: Look; Survey of each row if needs_survey(); in the transaction Begin, Write of
// each row, Finish. Blocks, so it is for the pool; one thread at a time. Errors are SINK, or
// those of SqliteDatabase.
class TableWriter {
 public:
  // `number` is unique among the sink's tables.
  TableWriter(const v1::SqliteTable& table, size_t number);

  const std::string& name() const { return table_.table(); }
  const TableRows& rows() const { return rows_; }
  bool appends() const { return ModeOf(table_) == v1::SqliteTable::MODE_APPEND; }

  // Reads the columns that the table has. exists() and needs_survey() are valid afterwards.
  Status Look(SqliteDatabase& database);
  bool exists() const { return !existing_.empty(); }
  // Returns true if all rows must be seen before the first is written: to learn the columns or their types, or if any
  // row differs.
  bool needs_survey() const { return rows_.implied() || !exists() || appends(); }

  // Records the columns and types of a row, and its content if the table appends.
  Status Survey(const RowParts& row);
  // Returns the digest of all surveyed rows, and begins a new one.
  std::string Content();
  int64_t surveyed() const { return surveyed_; }

  // Creates the table if it is absent, and prepares the statements. Fails if the table can't accept the rows.
  Status Begin(SqliteDatabase& database, const RowOwner& owner);
  // Writes a row if it differs from the one in the table.
  Status Write(const RowParts& row);
  // Deletes, in mode `replace`, the rows that earlier generations of the owner wrote and this one did not.
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
  std::string KeyColumns() const;  // definitions of the key's columns
  std::string SameKey(const std::string& a, const std::string& b) const;
  // Returns an error if the table would change a value of the row.
  Status CheckKept(const RowParts& row, const std::vector<SqlValue>& values) const;
  // Returns an error if a collation makes one key of several.
  Status CheckCollations(SqliteDatabase& database) const;
  // Returns an error if the table that records the written keys would change them.
  Status CheckOwned(SqliteDatabase& database) const;

  const v1::SqliteTable table_;
  const size_t number_;
  const TableRows rows_;
  const std::vector<std::string> key_;
  std::map<std::string, std::string> existing_;  // columns of the existing table, and their types

  // Results of the survey.
  std::vector<std::string> fields_;                        // columns in order of first appearance
  std::map<std::string, std::string, std::less<>> types_;  // types of the columns; "" while all values are null
  Digester digester_;
  int64_t surveyed_ = 0;

  // State between Begin and Finish.
  SqliteDatabase* database_ = nullptr;
  RowOwner owner_;
  std::vector<std::string> columns_;
  std::vector<Affinity> affinities_;  // of the columns, in their order
  SqliteStatement insert_;
  std::optional<SqliteStatement> seen_;
  int64_t written_ = 0;
};

}  // namespace millrace::store
