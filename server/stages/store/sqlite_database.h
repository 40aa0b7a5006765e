// SQLite's C interface with owners, statuses and bound values. All of it blocks: for the pool, one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace millrace::store {

// A value as SQLite keeps it; monostate is NULL.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;

// A name, quoted for SQL.
std::string Quoted(std::string_view name);
// Names, quoted, with commas between; each with `prefix` before it.
std::string QuotedList(const std::vector<std::string>& names, std::string_view prefix = "");

class SqliteDatabase;

// A prepared statement.
class SqliteStatement {
 public:
  SqliteStatement() = default;

  // Binds values to its parameters, in order, from the first.
  void Bind(const std::vector<SqlValue>& values);
  void BindAt(int index, const SqlValue& value);  // from 1
  // Runs to its end, and is ready for other values. Rows are dropped.
  Status Run();
  // The next row; false at the end. Reset before it is run again.
  StatusOr<bool> Step();
  void Reset();
  std::string Text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  SqliteDatabase* database_ = nullptr;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDatabase {
 public:
  // Opened, made where absent, in WAL mode with full synchronisation. `shown` is how errors call it. FILE_ERROR.
  static StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path, std::string shown);

  Status Run(const std::string& sql);
  StatusOr<SqliteStatement> Prepare(const std::string& sql);
  // Rows that statements changed since it was opened.
  int64_t changes() const;

  // What just went wrong, as SINK or, where the file itself is in the way, as FILE_ERROR.
  Status Error() const;
  // It was a constraint: a key that is there already, a null where none may be.
  bool IsConstraint() const;

 private:
  friend class SqliteStatement;
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit SqliteDatabase(std::string shown) : shown_(std::move(shown)) {}

  const std::string shown_;
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace millrace::store
