#include "server/engine/run/source_fields.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/config/place.h"
#include "server/engine/step/client_input.h"
#include "server/stages/stage_work.h"

namespace millrace {
namespace {

constexpr size_t kRowsMax = 1000;
// The beginning is read again with the second size if the first has few rows.
constexpr size_t kBytesMax = 4u << 20;
constexpr std::array<size_t, 2> kSizes = {256u << 10, kBytesMax};
constexpr size_t kRowsFew = 100;

// Returns the fields at the beginning of a source's bytes. `end`: the source ends with them.
std::optional<SourceFields> FieldsOfBytes(const FetchStage& fetch, std::string_view bytes, bool end, bool& is_enough) {
  const std::unique_ptr<RowReader> reader = fetch.MakeReader();
  is_enough = true;
  if (reader == nullptr) return std::nullopt;
  const StatusOr<RowReader::Rows> read = reader->Feed(bytes, end);
  if (!read.ok()) return std::nullopt;
  if (const std::vector<std::string> columns = reader->Columns(); !columns.empty()) {
    SourceFields fields{.fields = {}, .seen = "the header"};
    for (const std::string& column : columns) fields.fields.Member(column);
    return fields;
  }
  is_enough = end || read->rows.size() >= kRowsFew;
  return FieldsOfRows(read->rows);
}

Task<std::optional<SourceFields>> SeeFile(const EngineDeps& deps, const EngineOptions& options, const FileAccess& files,
                                          std::shared_ptr<const StageWork> work) {
  if (!options.open_file) co_return std::nullopt;
  const std::string named = WorkAs<FetchStage>(*work).path();
  StatusOr<std::unique_ptr<ByteSource>> source = options.open_file(deps.loop, deps.pool, files, named);
  if (!source.ok()) co_return std::nullopt;
  for (const size_t size : kSizes) {
    StatusOr<ByteSource::Chunk> chunk = co_await (*source)->Read(0, size);
    if (!chunk.ok()) co_return std::nullopt;
    using Seen = std::pair<std::optional<SourceFields>, bool>;
    auto see = [work, read = *std::move(chunk)] {
      Seen seen;
      seen.first = FieldsOfBytes(WorkAs<FetchStage>(*work), read.bytes, read.end, seen.second);
      return seen;
    };
    Seen seen = co_await Compute(deps.loop, deps.pool, std::move(see));
    if (seen.second || size == kBytesMax) co_return std::move(seen.first);
  }
  co_return std::nullopt;
}

// Reads what a client has sent so far, up to 4 MiB.
Task<std::optional<SourceFields>> SeeClientInput(const EngineDeps& deps, std::shared_ptr<const StageWork> work,
                                                 std::shared_ptr<ClientInput> input) {
  if (input->state().items()) {
    const StatusOr<std::vector<v1::InputItem>> part = co_await input->ReadItems(0);
    v1::InlineItems items;
    if (part.ok()) items.mutable_items()->Add(part->begin(), part->end());
    co_return co_await SeeItems(deps, std::move(work), std::move(items));
  }
  std::string bytes;
  while (bytes.size() < kBytesMax && static_cast<int64_t>(bytes.size()) < input->state().next_offset()) {
    const StatusOr<std::string> part = co_await input->ReadBytes(static_cast<int64_t>(bytes.size()));
    if (!part.ok() || part->empty()) break;
    bytes += *part;
  }
  const bool end = input->state().closed() && static_cast<int64_t>(bytes.size()) == input->state().next_offset();
  auto see = [work, bytes = std::move(bytes), end] {
    bool is_enough = false;
    return FieldsOfBytes(WorkAs<FetchStage>(*work), bytes, end, is_enough);
  };
  co_return co_await Compute(deps.loop, deps.pool, std::move(see));
}

}  // namespace

std::optional<SourceFields> FieldsOfRows(const std::vector<FetchedRow>& rows) {
  SourceFields fields;
  size_t good = 0;
  for (const FetchedRow& row : rows) {
    if (good == kRowsMax) break;
    if (row.item.state != v1::ITEM_STATE_OK) continue;
    const json::value item = ParseOwnJson(row.item.json);
    if (!item.is_object()) continue;
    ++good;
    fields.fields.AddValue(item);
  }
  if (good == 0) return std::nullopt;
  fields.seen = good == 1 ? "the first item" : fmt::format("the first {} items", good);
  return fields;
}

Task<SourcesSeen> SeeFiles(const EngineDeps& deps, const EngineOptions& options, const FileAccess& files,
                           StageWorks work, std::shared_ptr<const v1::Pipeline> definition, std::set<std::string> client_inputs) {
  SourcesSeen seen;
  for (int i = 0; i < definition->stages_size(); ++i) {
    const std::shared_ptr<const StageWork>& stage = work[static_cast<size_t>(i)];
    const std::string& name = definition->stages(i).name();
    if (ShapeOf(*stage) != StageShape::kFetch || client_inputs.contains(name)) continue;
    if (WorkAs<FetchStage>(*stage).path().empty()) continue;
    std::optional<SourceFields> fields = co_await SeeFile(deps, options, files, stage);
    if (fields) seen.emplace(name, *std::move(fields));
  }
  co_return seen;
}

Task<std::optional<SourceFields>> SeeItems(const EngineDeps& deps, std::shared_ptr<const StageWork> work,
                                           v1::InlineItems items) {
  auto see = [work, items = std::move(items)] {
    std::vector<FetchedRow> rows;
    for (const v1::InputItem& item : items.items()) {
      if (rows.size() == kRowsMax) break;
      rows.push_back(WorkAs<FetchStage>(*work).FromClient(item, static_cast<int64_t>(rows.size()) + 1));
    }
    return FieldsOfRows(rows);
  };
  co_return co_await Compute(deps.loop, deps.pool, std::move(see));
}

Task<Status> CheckFieldsRead(const EngineDeps& deps, std::shared_ptr<const v1::Pipeline> definition,
                             SourcesSeen sources) {
  auto check = [&deps, definition, seen = std::move(sources)]() -> Status {
    const std::vector<FieldViolation> violations = FieldsReadUnmade(*definition, deps.stages, seen);
    return violations.empty() ? absl::OkStatus() : DefinitionError(violations);
  };
  co_return co_await Compute(deps.loop, deps.pool, std::move(check));
}

Task<Status> CheckFirstInput(StepHost& host, std::shared_ptr<const v1::Pipeline> definition, int stage,
                             SourcesSeen& seen) {
  if (!host.options().checks_definitions) co_return absl::OkStatus();
  if (seen.empty()) {
    StageWorks work;
    std::set<std::string> from_clients;
    for (int i = 0; i < host.plan().size(); ++i) {
      work.push_back(host.slot(i).work);
      if (host.slot(i).input) from_clients.insert(host.plan().stage(i).name);
    }
    seen = co_await SeeFiles(host.deps(), host.options(), host.files(), std::move(work), definition,
                             std::move(from_clients));
  }
  const StageSlot& slot = host.slot(stage);
  std::optional<SourceFields> fields = co_await SeeClientInput(host.deps(), slot.work, slot.input);
  if (!fields) co_return absl::OkStatus();
  seen.insert_or_assign(host.plan().stage(stage).name, *std::move(fields));
  SourcesSeen sources = seen;
  co_return co_await CheckFieldsRead(host.deps(), std::move(definition), std::move(sources));
}

}  // namespace millrace
