#include "server/stages/store/store.h"

#include "server/stages/store/csv_sink.h"
#include "server/stages/store/jsonl_sink.h"
#include "server/stages/store/sqlite.h"

namespace millrace {
namespace {

StatusOr<StageWork> MakeStore(const StageDefinition& definition) {
  const v1::Store& store = definition.stage.store();
  const std::string* written = nullptr;
  switch (store.sink_case()) {
    case v1::Store::kSqlite:
      MR_RETURN_IF_ERROR(store::CheckSqliteSink(store.sqlite()));
      written = &store.sqlite().path();
      break;
    case v1::Store::kJsonl:
      written = &store.jsonl().path();
      break;
    case v1::Store::kCsv:
      written = &store.csv().path();
      break;
    case v1::Store::SINK_NOT_SET:
      return MakeFieldError(Reason::kInvalidDefinition, "store: expected one of sqlite, jsonl, csv",
                            {{"store", "expected one of sqlite, jsonl, csv"}});
  }
  MR_ASSIGN_OR_RETURN(std::string path, definition.files.ForWriting(*written));
  StageWork work;
  if (store.has_sqlite()) work.sink = store::MakeSqliteSink(store.sqlite(), std::move(path));
  if (store.has_jsonl()) work.sink = store::MakeJsonlSink(store.jsonl(), std::move(path));
  if (store.has_csv()) work.sink = store::MakeCsvSink(store.csv(), std::move(path));
  return work;
}

}  // namespace

StageKind StoreKind() {
  StageKind kind;
  kind.name = "store";
  kind.semantics_version = 1;
  kind.make = MakeStore;
  kind.fields = [](const v1::Stage&) { return StageKind::Fields{.made = std::vector<std::string>()}; };
  return kind;
}

}  // namespace millrace
