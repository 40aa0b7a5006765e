#include "server/stages/fetch/fetch.h"

#include <fmt/format.h>

#include <utility>

#include "millrace/v1/run_service.pb.h"
#include "server/stages/fetch/csv.h"
#include "server/stages/fetch/jsonl.h"
#include "server/stages/stage_work.h"

namespace millrace {
namespace {

constexpr size_t kItemBytesMax = 64u << 20;  // the API refuses smaller ones by its own limit

class RowFetch final : public FetchStage {
 public:
  explicit RowFetch(v1::Fetch fetch) : fetch_(std::move(fetch)) {}

  std::string path() const override {
    if (fetch_.has_csv()) return fetch_.csv().path();
    if (fetch_.has_jsonl()) return fetch_.jsonl().path();
    return "";
  }

  std::unique_ptr<RowReader> MakeReader() const override {
    if (fetch_.has_csv()) return fetch::MakeCsvReader(fetch_.csv());
    if (fetch_.has_jsonl()) return fetch::MakeJsonlReader(fetch_.jsonl());
    return nullptr;
  }

  FetchedRow FromClient(const v1::InputItem& item, int64_t row) const override {
    return fetch::ItemOfJson(item.json(), item.id(), IdMember(), Renames(), row, kItemBytesMax,
                             fmt::format("item {}: ", row));
  }

 private:
  const std::string& IdMember() const {
    if (fetch_.has_csv()) return fetch_.csv().id_column();
    if (fetch_.has_jsonl()) return fetch_.jsonl().id_field();
    return fetch_.inline_().id_field();
  }
  const fetch::Renames& Renames() const {
    static const fetch::Renames none;
    if (fetch_.has_csv()) return fetch_.csv().rename();
    if (fetch_.has_jsonl()) return fetch_.jsonl().rename();
    return none;
  }

  const v1::Fetch fetch_;
};

std::vector<StageFile> FilesRead(const v1::Stage& stage) {
  const v1::Fetch& fetch = stage.fetch();
  if (fetch.has_csv()) return {{.field = "fetch.csv.path", .path = fetch.csv().path()}};
  if (fetch.has_jsonl()) return {{.field = "fetch.jsonl.path", .path = fetch.jsonl().path()}};
  return {};
}

StatusOr<StageWork> MakeFetch(const StageDefinition& definition) {
  const v1::Fetch& fetch = definition.stage.fetch();
  std::vector<FieldViolation> violations;
  if (fetch.source_case() == v1::Fetch::SOURCE_NOT_SET) {
    violations.push_back({"fetch", "expected one of csv, jsonl, inline"});
  }
  if (const std::string& delimiter = fetch.csv().delimiter(); !delimiter.empty()) {
    const auto byte = static_cast<unsigned char>(delimiter[0]);
    if (delimiter.size() != 1 || byte == 0 || byte >= 0x80 || byte == '"' || byte == '\r' || byte == '\n') {
      violations.push_back(
          {"fetch.csv.delimiter", "expected one ASCII character other than a quote, a line end or NUL"});
    }
  }
  if (!violations.empty()) {
    return MakeFieldError(Reason::kInvalidDefinition, violations[0].field + ": " + violations[0].description,
                          violations);
  }
  return std::make_unique<RowFetch>(fetch);
}

}  // namespace

StageKind FetchKind() {
  StageKind kind;
  kind.name = "fetch";
  kind.shape = StageShape::kFetch;
  kind.semantics_version = 1;
  kind.make = MakeFetch;
  kind.reads = FilesRead;
  // A file's columns are known only when it is read.
  kind.fields = [](const v1::Stage&) { return StageKind::Fields{.made = FieldTree::Any(), .fresh = true}; };
  return kind;
}

}  // namespace millrace
