#include "server/stages/store/store.h"

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
  MR_ASSIGN_OR_RETURN(std::string path, definition.files.ForWriting(written.front().path));
  if (store.has_sqlite()) return store::MakeSqliteSink(store.sqlite(), std::move(path));
  if (store.has_jsonl()) return store::MakeJsonlSink(store.jsonl(), std::move(path));
  return store::MakeCsvSink(store.csv(), std::move(path));
}

}  // namespace

StageKind StoreKind() {
  StageKind kind;
  kind.name = "store";
  kind.shape = StageShape::kSink;
  kind.semantics_version = 1;
  kind.make = MakeStore;
  kind.writes = FilesWritten;
  kind.fields = [](const v1::Stage&) { return StageKind::Fields{.made = std::vector<std::string>()}; };
  return kind;
}

}  // namespace millrace
