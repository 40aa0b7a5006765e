#include "server/stages/store/store.h"

#include <fmt/format.h>

#include <charconv>

#include "server/files/file_access.h"
#include "server/stages/stage_work.h"
#include "server/stages/store/csv_sink.h"
#include "server/stages/store/jsonl_sink.h"
#include "server/stages/store/sqlite.h"

namespace millrace {
namespace {

std::vector<StageFile> FilesWritten(const v1::Stage& stage) {
  const v1::Store& store = stage.store();
  switch (store.sink_case()) {
    case v1::Store::kSqlite:
      return {{.field = "store.sqlite.path", .path = store.sqlite().path(), .holds_tables = true}};
    case v1::Store::kJsonl:
      return {{.field = "store.jsonl.path", .path = store.jsonl().path()}};
    case v1::Store::kCsv:
      return {{.field = "store.csv.path", .path = store.csv().path()}};
    case v1::Store::SINK_NOT_SET:
      break;
  }
  return {};
}

StatusOr<StageWork> MakeStore(const StageDefinition& definition) {
  const v1::Store& store = definition.stage.store();
  const std::vector<StageFile> written = FilesWritten(definition.stage);
  if (written.empty()) {
    return MakeFieldError(Reason::kInvalidDefinition, "store: expected one of sqlite, jsonl, csv",
                          {{"store", "expected one of sqlite, jsonl, csv"}});
  }
  if (store.has_sqlite()) MR_RETURN_IF_ERROR(store::CheckSqliteSink(store.sqlite()));
  MR_ASSIGN_OR_RETURN(OutputOpener open, definition.files.OpenerToWrite(written.front().path));
  if (store.has_sqlite()) return store::MakeSqliteSink(store.sqlite(), std::move(open));
  if (store.has_jsonl()) return store::MakeJsonlSink(store.jsonl(), std::move(open));
  return store::MakeCsvSink(store.csv(), std::move(open));
}

// Returns the field of items that a column or key of a SQLite table reads (TableRows::At); empty: none, or the item's
// id, which every item has.
std::string FieldRead(const v1::Stage& stage, std::string_view path, std::string_view name) {
  constexpr std::string_view kTables = "store.sqlite.tables[";
  if (!path.starts_with(kTables)) return std::string(name);
  int index = 0;
  path.remove_prefix(kTables.size());
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), index);
  if (error != std::errc() || index >= stage.store().sqlite().tables_size()) return "";
  path.remove_prefix(static_cast<size_t>(end - path.data()));
  if (path.starts_with("].each")) return std::string(name);
  const v1::SqliteTable& table = stage.store().sqlite().tables(index);
  const bool has_entries = !table.each().empty();
  const auto of_entry = [&](std::string_view field) { return fmt::format("{}.0.{}", table.each(), field); };
  if (path.starts_with("].key")) {
    if (!table.columns().empty() || name == "id" || name == "value") return "";
    return has_entries ? of_entry(name) : std::string(name);
  }
  if (has_entries && (name == "value" || name == "index")) return "";
  if (has_entries && name.starts_with("value.")) return of_entry(name.substr(6));
  if (name.starts_with("item.")) name.remove_prefix(5);
  return name == "id" ? "" : std::string(name);
}

}  // namespace

StageKind StoreKind() {
  StageKind kind;
  kind.name = "store";
  kind.shape = StageShape::kSink;
  kind.semantics_version = 1;
  kind.make = MakeStore;
  kind.writes = FilesWritten;
  kind.fields = [](const v1::Stage&) { return StageKind::Fields{.made = FieldTree()}; };
  kind.field_read = FieldRead;
  return kind;
}

}  // namespace millrace
