#include "server/stages/store/sqlite_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "server/base/json.h"

namespace millrace::store {
namespace {

constexpr size_t kColumnsMax = 2000;  // SQLITE_MAX_COLUMN

// Mark of a column with values of several types. It gets no type, so that SQLite does not convert them ("007" to 7).
const std::string kSeveralTypes = "*";

std::string TypeName(const SqlValue& value) {
  if (std::holds_alternative<int64_t>(value)) return "INTEGER";
  if (std::holds_alternative<double>(value)) return "REAL";
  return std::holds_alternative<std::string>(value) ? "TEXT" : "";
}

// Returns the columns of a table and their types; empty if it does not exist.
StatusOr<std::map<std::string, std::string>> ColumnsOf(SqliteDatabase& database, const std::string& table) {
  std::map<std::string, std::string> types;
  MR_ASSIGN_OR_RETURN(SqliteStatement columns, database.Prepare("SELECT name, type FROM pragma_table_info(?)"));
  columns.Bind({table});
  while (true) {
    MR_ASSIGN_OR_RETURN(const bool row, columns.Step());
    if (!row) return types;
    types[columns.Text(0)] = columns.Text(1);
  }
}

// Returns true if the column is ANY in a STRICT table, which keeps every value as it is (sqlite.org/stricttables.html).
StatusOr<bool> KeepsAny(SqliteDatabase& database, const std::string& table) {
  MR_ASSIGN_OR_RETURN(SqliteStatement strict,
                      database.Prepare("SELECT strict FROM pragma_table_list WHERE name = ? AND schema = 'main'"));
  strict.Bind({table});
  MR_ASSIGN_OR_RETURN(const bool row, strict.Step());
  return row && strict.Text(0) == "1";
}

std::string Shown(const SqlValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  if (const auto* text = std::get_if<std::string>(&value)) return fmt::format("\"{}\"", Excerpt(*text));
  return "null";
}

}  // namespace

v1::SqliteTable::Mode ModeOf(const v1::SqliteTable& table) {
  if (table.mode() != v1::SqliteTable::MODE_UNSPECIFIED) return table.mode();
  return table.key().empty() ? v1::SqliteTable::MODE_APPEND : v1::SqliteTable::MODE_UPSERT;
}

TableWriter::TableWriter(const v1::SqliteTable& table, size_t number)
    : table_(table), number_(number), rows_(table), key_(table.key().begin(), table.key().end()) {}

Status TableWriter::Problem(const std::string& what) const {
  return MakeError(Reason::kSink, fmt::format("table {}: {}", name(), what));
}

Status TableWriter::Look(SqliteDatabase& database) {
  MR_ASSIGN_OR_RETURN(existing_, ColumnsOf(database, name()));
  return absl::OkStatus();
}

Status TableWriter::Survey(const RowParts& row) {
  ++surveyed_;
  const auto note = [&](const std::string& column, const SqlValue& value) {
    const auto [place, is_new] = types_.emplace(column, TypeName(value));
    if (is_new) fields_.push_back(column);
    const std::string type = TypeName(value);
    if (place->second.empty()) place->second = type;
    if (!type.empty() && place->second != type) place->second = kSeveralTypes;
    if (appends()) digester_.AddPart(column).AddPart(TypeName(value)).AddPart(Shown(value));
  };
  if (rows_.implied()) {
    rows_.ForEachField(
        row, [&](std::string_view field, const json::value* value) { note(std::string(field), SqlValueOf(value)); });
    for (const std::string& column : key_) {
      if (!types_.contains(column)) note(column, rows_.At(row, column));
    }
  } else {
    for (const std::string& column : rows_.columns()) note(column, rows_.At(row, column));
  }
  if (appends()) digester_.AddNumber(static_cast<uint64_t>(surveyed_));
  if (fields_.size() <= kColumnsMax) return absl::OkStatus();
  return Problem(fmt::format("the items have more than {} fields; select fields with `columns`", kColumnsMax));
}

std::string TableWriter::Content() { return std::exchange(digester_, Digester()).Finish().Hex(); }

Status TableWriter::Begin(SqliteDatabase& database, const RowOwner& owner) {
  database_ = &database;
  owner_ = owner;
  MR_RETURN_IF_ERROR(Look(database));
  SettleColumns();
  if (columns_.empty()) return absl::OkStatus();  // no row has shown the table's columns
  if (!exists()) {
    MR_RETURN_IF_ERROR(Create());
    MR_RETURN_IF_ERROR(Look(database));
  }
  for (const std::string& column : columns_) {
    if (existing_.contains(column)) continue;
    std::string there;
    for (const auto& [other, type] : existing_) there += fmt::format("{}{}", there.empty() ? "" : ", ", Excerpt(other));
    return Problem(fmt::format("it has no column {}, only {}; add the column, or select fields with `columns`",
                               Excerpt(column), there));
  }
  affinities_.clear();
  MR_ASSIGN_OR_RETURN(const bool keeps_any, KeepsAny(database, name()));
  for (const std::string& column : columns_) {
    const std::string& type = existing_.at(column);
    const bool is_any = keeps_any && (type == "ANY" || type == "any");
    affinities_.push_back(is_any ? Affinity::kNone : AffinityOf(type));
  }
  MR_RETURN_IF_ERROR(CheckCollations(database));
  if (ModeOf(table_) == v1::SqliteTable::MODE_REPLACE) MR_RETURN_IF_ERROR(CheckOwned(database));
  MR_RETURN_IF_ERROR(PrepareInsert());
  return key_.empty() || appends() ? absl::OkStatus() : PrepareSeen();
}

Status TableWriter::CheckCollations(SqliteDatabase& database) const {
  MR_ASSIGN_OR_RETURN(SqliteStatement parts,
                      database.Prepare("SELECT part.name, part.coll FROM pragma_index_list(?) AS list, "
                                       "pragma_index_xinfo(list.name) AS part WHERE list.\"unique\" AND part.key "
                                       "AND part.coll <> 'BINARY' COLLATE NOCASE"));
  parts.Bind({name()});
  while (true) {
    MR_ASSIGN_OR_RETURN(const bool row, parts.Step());
    if (!row) return absl::OkStatus();
    const std::string column = parts.Text(0);
    const std::string collation = parts.Text(1);
    if (std::find(key_.begin(), key_.end(), column) == key_.end()) continue;
    return Problem(
        fmt::format("its key column {} is compared by the collation {}, by which different keys are equal "
                    "and one item would overwrite another; give the column the collation BINARY",
                    Excerpt(column), Excerpt(collation)));
  }
}

Status TableWriter::CheckOwned(SqliteDatabase& database) const {
  const std::string owned = "millrace_rows_" + name();
  MR_ASSIGN_OR_RETURN(const auto types, ColumnsOf(database, owned));
  for (const std::string& column : key_) {
    const auto found = types.find(column);
    if (found == types.end() || AffinityOf(found->second) == AffinityOf(existing_.at(column))) continue;
    return Problem(fmt::format(
        "its key column {} has type `{}`, but `{}` in the table {}, which records the rows of earlier runs: "
        "drop {} to forget them",
        Excerpt(column), existing_.at(column), found->second, owned, owned));
  }
  return absl::OkStatus();
}

Status TableWriter::CheckKept(const RowParts& row, const std::vector<SqlValue>& values) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (KeepsValue(affinities_[i], values[i])) continue;
    const std::string& column = columns_[i];
    const bool is_text = std::holds_alternative<std::string>(values[i]);
    return Problem(fmt::format(
        "column {} has type {}, so SQLite would change {} of item {} into {}; let the field have one type in all runs, "
        "or write to a table whose column {} has no type (rename or drop this one, and the next run makes it)",
        Excerpt(column), existing_.at(column), Shown(values[i]), row.item.id,
        is_text                             ? "a number"
        : affinities_[i] == Affinity::kText ? "a text"
                                            : "another number",
        Excerpt(column)));
  }
  return absl::OkStatus();
}

void TableWriter::SettleColumns() {
  columns_ = rows_.implied() ? fields_ : rows_.columns();
  for (const std::string& column : key_) {
    if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) columns_.push_back(column);
  }
}

std::string TableWriter::TypeOf(const std::string& column) const {
  if (const auto there = existing_.find(column); there != existing_.end()) return there->second;
  const auto found = types_.find(column);
  return found == types_.end() || found->second == kSeveralTypes ? "" : found->second;
}

std::string TableWriter::KeyColumns() const {
  std::string list;
  for (const std::string& column : key_) list += fmt::format("{} {} NOT NULL, ", Quoted(column), TypeOf(column));
  return list;
}

Status TableWriter::Create() {
  std::string list;
  for (const std::string& column : columns_) {
    const bool in_key = std::find(key_.begin(), key_.end(), column) != key_.end();
    list +=
        fmt::format("{}{} {}{}", list.empty() ? "" : ", ", Quoted(column), TypeOf(column), in_key ? " NOT NULL" : "");
  }
  // WITHOUT ROWID, so that a single key column of type INTEGER also accepts other values.
  const std::string key = key_.empty() ? ")" : fmt::format(", PRIMARY KEY ({})) WITHOUT ROWID", QuotedList(key_));
  return database_->Run(fmt::format("CREATE TABLE {} ({}{}", Quoted(name()), list, key));
}

Status TableWriter::PrepareInsert() {
  std::string sql = fmt::format("INSERT INTO {} ({}) VALUES (", Quoted(name()), QuotedList(columns_));
  for (size_t i = 0; i < columns_.size(); ++i) sql += i == 0 ? "?" : ", ?";
  sql += ")";
  if (!key_.empty() && !appends()) {
    std::string set;
    std::string differs;
    for (const std::string& column : columns_) {
      if (std::find(key_.begin(), key_.end(), column) != key_.end()) continue;
      const std::string quoted = Quoted(column);
      set += fmt::format("{}{} = excluded.{}", set.empty() ? "" : ", ", quoted, quoted);
      differs +=
          fmt::format("{}{}.{} IS NOT excluded.{}", differs.empty() ? "" : " OR ", Quoted(name()), quoted, quoted);
    }
    sql += fmt::format(" ON CONFLICT ({}) DO ", QuotedList(key_));
    sql += set.empty() ? "NOTHING" : fmt::format("UPDATE SET {} WHERE {}", set, differs);
  }
  StatusOr<SqliteStatement> insert = database_->Prepare(sql);
  if (!insert.ok()) {
    return Problem(fmt::format("it does not accept the rows: {}{}", MessageOf(insert.status()),
                               key_.empty() ? "" : fmt::format(" (expected a unique key of {})", QuotedList(key_))));
  }
  insert_ = *std::move(insert);
  return absl::OkStatus();
}

// Creates a temporary table of this generation's keys, which finds duplicate keys and rows of earlier generations.
Status TableWriter::PrepareSeen() {
  MR_RETURN_IF_ERROR(database_->Run(
      fmt::format("CREATE TABLE {} ({}PRIMARY KEY ({})) WITHOUT ROWID", SeenName(), KeyColumns(), QuotedList(key_))));
  std::string sql = fmt::format("INSERT INTO {} VALUES (", SeenName());
  for (size_t i = 0; i < key_.size(); ++i) sql += i == 0 ? "?" : ", ?";
  MR_ASSIGN_OR_RETURN(seen_, database_->Prepare(sql + ")"));
  return absl::OkStatus();
}

std::string TableWriter::KeyShown(const std::vector<SqlValue>& key) const {
  std::string shown;
  for (size_t i = 0; i < key.size(); ++i) {
    shown += fmt::format("{}{} = {}", i == 0 ? "" : ", ", key_[i], Shown(key[i]));
  }
  return shown;
}

Status TableWriter::Write(const RowParts& row) {
  std::vector<SqlValue> values;
  values.reserve(columns_.size());
  for (const std::string& column : columns_) values.push_back(rows_.At(row, column));
  MR_RETURN_IF_ERROR(CheckKept(row, values));
  std::vector<SqlValue> key;
  for (const std::string& column : key_) {
    key.push_back(values[static_cast<size_t>(std::find(columns_.begin(), columns_.end(), column) - columns_.begin())]);
    if (std::holds_alternative<std::monostate>(key.back())) {
      return Problem(fmt::format("item {} has no value for the key column {}", row.item.id, column));
    }
  }
  if (seen_) {
    seen_->Bind(key);
    if (const Status status = seen_->Run(); !status.ok()) {
      if (!database_->IsConstraint()) return status;
      return Problem(fmt::format("duplicate key {} in item {}", KeyShown(key), row.item.id));
    }
  }
  insert_.Bind(values);
  const Status status = insert_.Run();
  ++written_;
  if (status.ok() || !database_->IsConstraint()) return status;
  return Problem(fmt::format("it rejects a row of item {}{}: {}", row.item.id,
                             key.empty() ? "" : fmt::format(" ({})", KeyShown(key)), MessageOf(status)));
}

std::string TableWriter::SameKey(const std::string& a, const std::string& b) const {
  std::string same;
  for (const std::string& column : key_) {
    same += fmt::format("{}{}.{} = {}.{}", same.empty() ? "" : " AND ", a, Quoted(column), b, Quoted(column));
  }
  return same;
}

// Records by key which rows a stage wrote, because other rows must stay: those that existed before, and those that
// other stages wrote too.
Status TableWriter::Finish() {
  if (ModeOf(table_) != v1::SqliteTable::MODE_REPLACE || columns_.empty()) return absl::OkStatus();
  const std::string keys = QuotedList(key_);
  MR_RETURN_IF_ERROR(database_->Run(
      fmt::format("CREATE TABLE IF NOT EXISTS {} ({}millrace_pipeline TEXT NOT NULL, millrace_stage TEXT NOT NULL, "
                  "PRIMARY KEY ({}, millrace_pipeline, millrace_stage)) WITHOUT ROWID",
                  OwnedName(), KeyColumns(), keys)));
  const std::string gone = fmt::format(
      "mine.millrace_pipeline = ?1 AND mine.millrace_stage = ?2 AND NOT EXISTS (SELECT 1 FROM {} AS seen WHERE {})",
      SeenName(), SameKey("seen", "mine"));
  const std::string others = fmt::format(
      "EXISTS (SELECT 1 FROM {} AS theirs WHERE {} AND NOT (theirs.millrace_pipeline = ?1 AND theirs.millrace_stage = "
      "?2))",
      OwnedName(), SameKey("theirs", "mine"));
  for (const std::string& sql : {
           fmt::format("DELETE FROM {} WHERE ({}) IN (SELECT {} FROM {} AS mine WHERE {} AND NOT {})", Quoted(name()),
                       keys, QuotedList(key_, "mine."), OwnedName(), gone, others),
           fmt::format("DELETE FROM {} AS mine WHERE {}", OwnedName(), gone),
           fmt::format("INSERT OR IGNORE INTO {} SELECT {}, ?1, ?2 FROM {}", OwnedName(), keys, SeenName()),
       }) {
    MR_ASSIGN_OR_RETURN(SqliteStatement statement, database_->Prepare(sql));
    statement.Bind({owner_.pipeline, owner_.stage});
    MR_RETURN_IF_ERROR(statement.Run());
  }
  return absl::OkStatus();
}

}  // namespace millrace::store
