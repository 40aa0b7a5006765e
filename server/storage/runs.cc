#include "server/storage/runs.h"

#include <charconv>
#include <string>

#include "server/storage/keys.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

constexpr std::string_view kActive = "active";

KeyRange Below(std::string prefix) {
  std::string end = PrefixEnd(prefix);
  return {std::move(prefix), std::move(end)};
}

}  // namespace

std::string PipelineKey(std::string_view name) { return KeyBuilder(Table::kPipeline).Text(name); }
KeyRange PipelineKeys() { return Below(KeyBuilder(Table::kPipeline)); }

std::string RunKey(std::string_view run) { return KeyBuilder(Table::kRun).Text(run); }

std::string RunOrderKey(int64_t create_micros, std::string_view run) {
  return KeyBuilder(Table::kRunOrder).Number(create_micros).Text(run);
}
KeyRange RunOrderKeys() { return Below(KeyBuilder(Table::kRunOrder)); }
std::optional<RunOrder> ReadRunOrderKey(std::string_view key) {
  KeyReader reader(key);
  const std::optional<int64_t> create_micros = reader.Number();
  std::optional<std::string> run = reader.Text();
  if (!create_micros || !run) return std::nullopt;
  return RunOrder{*create_micros, *std::move(run)};
}

std::string ActiveRunKey(std::string_view run) { return KeyBuilder(Table::kMeta).Text(kActive).Text(run); }
void PutActiveRun(WriteBatch& batch, std::string_view run, int starts) {
  std::string key = ActiveRunKey(run);
  std::string value = EncodeValue(key, std::to_string(starts));
  batch.Put(std::move(key), std::move(value));
}
int ReadStarts(const StoreEntry& entry) {
  const StatusOr<std::string> text =
      entry.value.empty() ? StatusOr<std::string>("0") : DecodeValue(entry.key, entry.value);
  int starts = 0;
  if (text.ok()) std::from_chars(text->data(), text->data() + text->size(), starts);
  return starts;
}
KeyRange ActiveRunKeys() { return Below(KeyBuilder(Table::kMeta).Text(kActive)); }
std::optional<std::string> ReadActiveRunKey(std::string_view key) {
  KeyReader reader(key);
  if (!reader.Text()) return std::nullopt;
  return reader.Text();
}

std::string RequestKey(std::string_view request_id) { return KeyBuilder(Table::kRequest).Text(request_id); }

std::string StageKey(std::string_view run, std::string_view stage) {
  return KeyBuilder(Table::kStage).Text(run).Text(stage);
}

std::string EventKey(std::string_view run, int64_t number) {
  return KeyBuilder(Table::kEvent).Text(run).Number(number);
}
KeyRange EventKeys(std::string_view run, int64_t first) {
  return {EventKey(run, first), PrefixEnd(KeyBuilder(Table::kEvent).Text(run))};
}

void DeleteRunKeys(WriteBatch& batch, std::string_view run) {
  for (const Table table :
       {Table::kRun, Table::kStage, Table::kItem, Table::kItemId, Table::kItemCommit, Table::kEvent, Table::kInput,
        Table::kInputState, Table::kRunMemo, Table::kRunAnswer, Table::kRunSettled, Table::kRunAttempt}) {
    auto [begin, end] = Below(KeyBuilder(table).Text(run));
    batch.DeleteRange(std::move(begin), std::move(end));
  }
}

}  // namespace millrace
