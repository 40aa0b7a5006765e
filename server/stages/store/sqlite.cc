#include "server/stages/store/sqlite.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "server/base/json.h"
#include "server/stages/store/pages.h"
#include "server/stages/store/sqlite_database.h"
#include "server/stages/store/sqlite_table.h"

namespace millrace::store {
namespace {

constexpr char kCreateRuns[] =
    "CREATE TABLE IF NOT EXISTS millrace_runs (number INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, stage TEXT NOT "
    "NULL, "
    "run TEXT NOT NULL, generation TEXT NOT NULL, time TEXT NOT NULL, rows INTEGER NOT NULL, content TEXT NOT NULL, "
    "UNIQUE (pipeline, stage, generation))";

// A generation to be written.
struct Generation {
  RowOwner owner;
  std::string run;
  std::string generation;
  int64_t wall_micros = 0;  // time of the write
};

std::string TimeText(int64_t wall_micros) {
  const auto seconds = std::chrono::sys_seconds(std::chrono::seconds(wall_micros / 1'000'000));
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     wall_micros % 1'000'000);
}

// Writes one generation: Open, Survey of all items if needed, Begin, Write of all items, Commit. Blocks, so it is for
// the pool; one thread at a time.
class GenerationWriter {
 public:
  GenerationWriter(const v1::SqliteSink& sink, OutputOpener open, Generation generation)
      : open_(std::move(open)), shown_(sink.path()), generation_(std::move(generation)) {
    for (const v1::SqliteTable& table : sink.tables()) {
      tables_.push_back(std::make_unique<TableWriter>(table, tables_.size()));
    }
  }

  // Opens the database; is_there and needs_survey are valid afterwards.
  Status Open();
  // Returns true if the database has the generation, so that nothing is to be done.
  bool is_there() const { return is_there_; }
  // Returns true if all rows must be surveyed before Begin.
  bool needs_survey() const { return needs_survey_; }

  Status Survey(const std::vector<InputItem>& items);
  // Begins the transaction. Checks is_there again, as another process may have written the generation.
  Status Begin();
  Status Write(const std::vector<InputItem>& items);
  // Commits the transaction. A failure before this leaves the database unchanged.
  Status Commit();

 private:
  Status LookForGeneration();
  StatusOr<std::string> LastContent();

  const OutputOpener open_;
  const std::string shown_;
  const Generation generation_;
  std::unique_ptr<SqliteDatabase> database_;  // outlives the statements of the tables
  std::vector<std::unique_ptr<TableWriter>> tables_;
  std::vector<TableWriter*> written_tables_;  // tables in which rows may differ
  bool is_there_ = false;
  bool needs_survey_ = false;
  std::string content_;
};

Status GenerationWriter::Open() {
  MR_ASSIGN_OR_RETURN(OutputPlace place, open_());
  MR_ASSIGN_OR_RETURN(database_, SqliteDatabase::Open(std::move(place), shown_));
  MR_ASSIGN_OR_RETURN(SqliteStatement runs,
                      database_->Prepare("SELECT 1 FROM sqlite_schema WHERE name = 'millrace_runs'"));
  MR_ASSIGN_OR_RETURN(const bool has_runs, runs.Step());
  runs.Reset();
  if (has_runs) MR_RETURN_IF_ERROR(LookForGeneration());
  for (const auto& table : tables_) {
    MR_RETURN_IF_ERROR(table->Look(*database_));
    needs_survey_ = needs_survey_ || table->needs_survey();
  }
  return absl::OkStatus();
}

Status GenerationWriter::LookForGeneration() {
  MR_ASSIGN_OR_RETURN(
      SqliteStatement find,
      database_->Prepare("SELECT 1 FROM millrace_runs WHERE pipeline = ? AND stage = ? AND generation = ?"));
  find.Bind({generation_.owner.pipeline, generation_.owner.stage, generation_.generation});
  MR_ASSIGN_OR_RETURN(is_there_, find.Step());
  return absl::OkStatus();
}

StatusOr<std::string> GenerationWriter::LastContent() {
  MR_ASSIGN_OR_RETURN(SqliteStatement last,
                      database_->Prepare("SELECT content FROM millrace_runs WHERE pipeline = ? AND "
                                         "stage = ? ORDER BY number DESC LIMIT 1"));
  last.Bind({generation_.owner.pipeline, generation_.owner.stage});
  MR_ASSIGN_OR_RETURN(const bool row, last.Step());
  return row ? last.Text(0) : std::string();
}

// Calls `take(table, row)` for each row of each table that the items become.
template <typename Tables, typename Take>
Status ForEachRow(const Tables& tables, const std::vector<InputItem>& items, Take take) {
  for (const InputItem& item : items) {
    MR_ASSIGN_OR_RETURN(const json::value fields, ParseExact(*item.json));
    for (const auto& table : tables) {
      MR_RETURN_IF_ERROR(table->rows().ForEach(item, fields, [&](const RowParts& row) { return take(*table, row); }));
    }
  }
  return absl::OkStatus();
}

Status GenerationWriter::Survey(const std::vector<InputItem>& items) {
  return ForEachRow(tables_, items, [](TableWriter& table, const RowParts& row) { return table.Survey(row); });
}

Status GenerationWriter::Begin() {
  // IMMEDIATE waits for other writers here and not in the middle of the transaction.
  MR_RETURN_IF_ERROR(database_->Run("BEGIN IMMEDIATE"));
  MR_RETURN_IF_ERROR(database_->Run(kCreateRuns));
  MR_RETURN_IF_ERROR(LookForGeneration());
  if (is_there_) return absl::OkStatus();
  Digester digester;
  bool any_appends = false;
  for (const auto& table : tables_) {
    if (!table->appends()) continue;
    any_appends = true;
    digester.AddPart(table->name()).AddPart(table->Content());
  }
  if (any_appends) content_ = digester.Finish().Hex();
  MR_ASSIGN_OR_RETURN(const std::string last, LastContent());
  for (const auto& table : tables_) {
    // Does not append rows again that the last generation appended.
    if (table->appends() && table->exists() && last == content_) continue;
    MR_RETURN_IF_ERROR(table->Begin(*database_, generation_.owner));
    written_tables_.push_back(table.get());
  }
  return absl::OkStatus();
}

Status GenerationWriter::Write(const std::vector<InputItem>& items) {
  return ForEachRow(written_tables_, items, [](TableWriter& table, const RowParts& row) { return table.Write(row); });
}

Status GenerationWriter::Commit() {
  int64_t rows = 0;
  for (const auto& table : tables_) rows += std::max(table->written(), table->surveyed());
  for (TableWriter* table : written_tables_) MR_RETURN_IF_ERROR(table->Finish());
  MR_ASSIGN_OR_RETURN(SqliteStatement insert,
                      database_->Prepare("INSERT INTO millrace_runs (pipeline, stage, run, generation, time, rows, "
                                         "content) VALUES (?, ?, ?, ?, ?, ?, ?)"));
  insert.Bind({generation_.owner.pipeline, generation_.owner.stage, generation_.run, generation_.generation,
               TimeText(generation_.wall_micros), rows, content_});
  MR_RETURN_IF_ERROR(insert.Run());
  return database_->Run("COMMIT");
}

class SqliteSinkStage final : public SinkStage {
 public:
  SqliteSinkStage(const v1::SqliteSink& sink, OutputOpener open) : sink_(sink), open_(std::move(open)) {}

  Task<Status> Write(StageContext& context, ItemReader& reader) const override {
    Generation generation = {.owner = {.pipeline = context.pipeline, .stage = context.stage},
                             .run = context.run,
                             .generation = context.generation,
                             .wall_micros = context.loop.clock().WallMicros()};
    const auto writer = std::make_shared<GenerationWriter>(sink_, open_, std::move(generation));
    using Items = std::vector<InputItem>;
    MR_CO_RETURN_IF_ERROR(co_await OpenPatiently(context, writer));
    if (writer->is_there()) co_return absl::OkStatus();
    if (writer->needs_survey()) {
      MR_CO_RETURN_IF_ERROR(co_await ForEachPage(
          context, reader, writer, [](GenerationWriter& w, const Items& items) { return w.Survey(items); }));
      reader.Rewind();
    }
    MR_CO_RETURN_IF_ERROR(co_await OnPool(context, writer, [](GenerationWriter& w) { return w.Begin(); }));
    if (writer->is_there()) co_return absl::OkStatus();
    MR_CO_RETURN_IF_ERROR(co_await ForEachPage(context, reader, writer,
                                               [](GenerationWriter& w, const Items& items) { return w.Write(items); }));
    co_return co_await OnPool(context, writer, [](GenerationWriter& w) { return w.Commit(); });
  }

 private:
  const v1::SqliteSink sink_;
  const OutputOpener open_;
};

std::string LowerCase(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

}  // namespace

Status CheckSqliteSink(const v1::SqliteSink& sink) {
  std::vector<FieldViolation> violations;
  std::set<std::string> names;
  for (int i = 0; i < sink.tables_size(); ++i) {
    const v1::SqliteTable& table = sink.tables(i);
    const auto wrong = [&](std::string_view field, std::string description) {
      violations.push_back({fmt::format("store.sqlite.tables[{}].{}", i, field), std::move(description)});
    };
    // SQLite ignores the case of names.
    const std::string name = LowerCase(table.table());
    if (!names.insert(name).second) wrong("table", "duplicate table: an earlier entry has it");
    if (name.starts_with("sqlite_") || name.starts_with("millrace_")) {
      wrong("table", "names that begin with `sqlite_` or `millrace_` are reserved");
    }
    if (table.key().empty() && ModeOf(table) != v1::SqliteTable::MODE_APPEND) {
      wrong("key", "modes `upsert` and `replace` need a key, to find a row again");
    }
    std::set<std::string> keys;
    for (const std::string& column : table.key()) {
      if (!keys.insert(LowerCase(column)).second) wrong("key", fmt::format("duplicate column {}", column));
      if (!table.columns().empty() && !table.columns().contains(column)) {
        wrong("columns", fmt::format("the key column {} is missing", column));
      }
    }
    for (const auto& [column, source] : std::map(table.columns().begin(), table.columns().end())) {
      if (source.empty()) wrong(fmt::format("columns.{}", column), "expected a field such as `item.title`");
    }
  }
  if (violations.empty()) return absl::OkStatus();
  return MakeFieldError(Reason::kInvalidDefinition, violations[0].field + ": " + violations[0].description, violations);
}

std::unique_ptr<SinkStage> MakeSqliteSink(const v1::SqliteSink& sink, OutputOpener open) {
  return std::make_unique<SqliteSinkStage>(sink, std::move(open));
}

}  // namespace millrace::store
