// SQLite's C interface with owners, statuses and bound values. All calls block, so they are for the pool; one thread at
// a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/base/status.h"
#include "server/files/file_access.h"

struct sqlite3;
struct sqlite3_stmt;

namespace millrace::store {

// A value of SQLite; monostate is NULL.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;

// Returns a name quoted for SQL.
std::string Quoted(std::string_view name);
// Returns quoted names separated by commas, each with `prefix` before it.
std::string QuotedList(const std::vector<std::string>& names, std::string_view prefix = "");

class SqliteDatabase;

// A prepared statement. The database must outlive it.
class SqliteStatement {
 public:
  SqliteStatement() = default;

  // Binds values to the parameters, in order, from the first.
  void Bind(const std::vector<SqlValue>& values);
  // Binds a value to a parameter; `index` counts from 1.
  void BindAt(int index, const SqlValue& value);
  // Runs the statement to its end, drops its rows and resets it.
  Status Run();
  // Moves to the next row; returns false at the end. Call Reset before the statement is run again.
  StatusOr<bool> Step();
  void Reset();
  // Returns a column of the current row as text, counted from 0; "" for NULL.
  std::string Text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  SqliteDatabase* database_ = nullptr;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// An open database.
class SqliteDatabase {
 public:
  // Opens the database, or creates it if it is absent, in WAL mode with full synchronisation. All its files are opened
  // in the open directory of `place`, wherever that is by now, without following a link. `shown` is its name in errors.
  // FILE_ERROR if it can't be opened or is not a database.
  static StatusOr<std::unique_ptr<SqliteDatabase>> Open(OutputPlace place, std::string shown);

  // Runs one statement.
  Status Run(const std::string& sql);
  StatusOr<SqliteStatement> Prepare(const std::string& sql);
  // Returns the number of rows that statements have changed since Open.
  int64_t changes() const;

  // Returns the last error: FILE_ERROR if the file is the cause, else SINK.
  Status Error() const;
  // Returns true if the last error was a violated constraint: a duplicate key, or a null that is not allowed.
  bool IsConstraint() const;

 private:
  friend class SqliteStatement;
  struct Close {
    void operator()(sqlite3* database) const;
  };
  SqliteDatabase(std::shared_ptr<const UniqueFd> directory, std::string shown)
      : directory_(std::move(directory)), shown_(std::move(shown)) {}

  const std::shared_ptr<const UniqueFd> directory_;  // outlives the database, whose files are opened in it
  const std::string shown_;
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace millrace::store
