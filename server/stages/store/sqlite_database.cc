#include "server/stages/store/sqlite_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "server/stages/store/sqlite_vfs.h"

namespace millrace::store {
namespace {

constexpr int kBusyMillis = 10'000;  // longest wait for another process that holds the database

}  // namespace

std::string Quoted(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

std::string QuotedList(const std::vector<std::string>& names, std::string_view prefix) {
  std::string list;
  for (const std::string& name : names) list += fmt::format("{}{}{}", list.empty() ? "" : ", ", prefix, Quoted(name));
  return list;
}

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void SqliteStatement::Bind(const std::vector<SqlValue>& values) {
  for (size_t i = 0; i < values.size(); ++i) BindAt(static_cast<int>(i) + 1, values[i]);
}

void SqliteStatement::BindAt(int index, const SqlValue& value) {
  sqlite3_stmt* const statement = statement_.get();
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    sqlite3_bind_int64(statement, index, *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    sqlite3_bind_double(statement, index, *real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  } else {
    sqlite3_bind_null(statement, index);
  }
}

Status SqliteStatement::Run() {
  while (true) {
    const StatusOr<bool> row = Step();
    if (row.ok() && *row) continue;
    Reset();
    return row.status();
  }
}

StatusOr<bool> SqliteStatement::Step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return database_->Error();
}

void SqliteStatement::Reset() { sqlite3_reset(statement_.get()); }

std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return text == nullptr ? "" : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

void SqliteDatabase::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(OutputPlace place, std::string shown) {
  std::shared_ptr<const UniqueFd> directory = ShareDirectory(std::move(place.directory));
  const std::string path = PathInOpenDirectory(*directory, place.name);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(std::move(directory), std::move(shown)));
  sqlite3* handle = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, VfsOfOpenDirectories());
  database->database_.reset(handle);
  if (result != SQLITE_OK) return database->Error();
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMillis);
  // This statement is the first that reads the file, so it fails if the file is not a database. WAL mode is optional: a
  // file system without shared memory, or a reader in the old mode, may prevent it.
  const Status mode = database->Run("PRAGMA journal_mode = WAL");
  const int code = sqlite3_errcode(handle) & 0xff;
  if (!mode.ok() && code != SQLITE_BUSY) return mode;
  // FULL, because an acknowledged commit is never repeated and so must be on the disk.
  MR_RETURN_IF_ERROR(database->Run("PRAGMA synchronous = FULL"));
  MR_RETURN_IF_ERROR(database->Run("PRAGMA cache_size = -16384"));
  MR_RETURN_IF_ERROR(database->Run("PRAGMA temp_store = FILE"));
  return database;
}

Status SqliteDatabase::Run(const std::string& sql) {
  MR_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  return statement.Run();
}

StatusOr<SqliteStatement> SqliteDatabase::Prepare(const std::string& sql) {
  SqliteStatement statement;
  statement.database_ = this;
  sqlite3_stmt* handle = nullptr;
  const int result = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
  statement.statement_.reset(handle);
  if (result != SQLITE_OK) return Error();
  return statement;
}

int64_t SqliteDatabase::changes() const { return sqlite3_total_changes64(database_.get()); }

Status SqliteDatabase::Error() const {
  const auto error = [&](Reason reason, std::string_view what) {
    return MakeError(reason, fmt::format("{}: {}", shown_, what));
  };
  switch (sqlite3_errcode(database_.get()) & 0xff) {
    case SQLITE_NOTADB:
      return error(Reason::kFileError, "the file is not a SQLite database");
    case SQLITE_CORRUPT:
      return error(Reason::kFileError, "the database is damaged");
    case SQLITE_CANTOPEN:
      return error(Reason::kFileError, "the file can't be opened; check that its directory exists and is writable");
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return error(Reason::kFileError, "the file is not writable");
    case SQLITE_FULL:
      return error(Reason::kFileError, "the disk is full");
    case SQLITE_IOERR:
      return error(Reason::kFileError,
                   fmt::format("the file can't be read or written: {}", sqlite3_errmsg(database_.get())));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return error(Reason::kSink, fmt::format("another process has held the database for {} s", kBusyMillis / 1000));
    default:
      return error(Reason::kSink, sqlite3_errmsg(database_.get()));
  }
}

bool SqliteDatabase::IsConstraint() const { return (sqlite3_errcode(database_.get()) & 0xff) == SQLITE_CONSTRAINT; }

}  // namespace millrace::store
