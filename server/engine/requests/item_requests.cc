#include "server/engine/requests/item_requests.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "server/engine/requests/item_view.h"
#include "server/engine/requests/page_token.h"
#include "server/engine/stage_counts.h"
#include "server/storage/items.h"
#include "server/storage/records.h"
#include "server/storage/runs.h"

namespace millrace {
namespace {

constexpr size_t kPageBytes = 2 << 20;
constexpr size_t kStreamItems = 100;
constexpr size_t kFirstPart = 4;  // items of a stream's page that are read at first
constexpr Duration kLookAgain = std::chrono::seconds(1);

// Estimates the bytes that an item takes in a page: its JSON, and 200 for everything else.
size_t PageBytesOf(const std::string& json) { return json.size() + 200; }

// Items of one scan that a list takes.
struct TakenItems {
  std::vector<v1::Item> items;
  std::string cut_at;  // key before which the page is full; empty: it is not
};

struct ItemFilter {
  std::vector<int> states;  // empty: all
  std::string stage;
  bool structs = false;
};

// `bytes`: bytes that the page has already.
StatusOr<TakenItems> TakeItems(std::vector<StoreEntry> entries, const ItemFilter& filter, size_t bytes) {
  TakenItems taken;
  for (StoreEntry& entry : entries) {
    storage::v1::ItemRecord record;
    MR_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, record));
    if (!filter.states.empty() &&
        std::find(filter.states.begin(), filter.states.end(), record.state()) == filter.states.end()) {
      continue;
    }
    if (bytes > 0 && bytes + PageBytesOf(record.json()) > kPageBytes) {
      taken.cut_at = std::move(entry.key);
      return taken;
    }
    bytes += PageBytesOf(record.json());
    taken.items.push_back(ItemView(std::move(record), LastNumberOf(entry.key), filter.stage, filter.structs));
  }
  return taken;
}

// Items of a part of a stream's page.
struct StreamPart {
  std::vector<v1::StreamItemsResponse> items;
  size_t bytes = 0;     // of the page with these
  bool is_cut = false;  // the page is full before the part's end
};

struct StreamView {
  std::string query;
  std::string stage;
  bool structs = false;
};

// `bytes`: bytes that the page has already.
StatusOr<StreamPart> ReadPart(const std::vector<std::string>& keys, const std::vector<int64_t>& numbers,
                              std::vector<std::optional<std::string>> values, const StreamView& view, size_t bytes) {
  StreamPart part{{}, bytes, false};
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::optional<std::string> value = std::move(values[i]);
    if (!value) continue;
    // Before it is decoded, since it may be far larger then.
    part.is_cut = part.bytes > 0 && part.bytes + PlainSize(*value) > kPageBytes;
    if (part.is_cut) return part;
    storage::v1::ItemRecord record;
    MR_RETURN_IF_ERROR(DecodeValue(keys[i], *value, record));
    if (record.commit() != numbers[i]) continue;  // a redrive has computed it again since
    part.bytes += PageBytesOf(record.json());
    v1::StreamItemsResponse& response = part.items.emplace_back();
    response.set_resume_token(MakePageToken(view.query, fmt::format("{}", numbers[i])));
    *response.mutable_item() = ItemView(std::move(record), LastNumberOf(keys[i]), view.stage, view.structs);
  }
  return part;
}

}  // namespace

Task<StatusOr<ItemRequests::Stage>> ItemRequests::Find(std::string run, std::string stage) {
  Stage found;
  MR_CO_ASSIGN_OR_RETURN(found.run, co_await runs_.Find(std::move(run)));
  MR_CO_ASSIGN_OR_RETURN(const Plan plan, runs_.PlanOf(found.run));
  found.index = stage.empty() ? plan.Result() : plan.Find(stage);
  if (found.index < 0) {
    co_return MakeError(Reason::kStageNotFound, fmt::format("the run has no stage `{}`", Excerpt(stage)));
  }
  found.name = plan.stage(found.index).name;
  found.shape = plan.stage(found.index).shape;
  co_return found;
}

Task<StatusOr<bool>> ItemRequests::IsReadableNow(const Stage& stage) {
  if (stage.run.active) co_return IsReadable(stage.shape, stage.run.active->slot(stage.index).rows->record());
  MR_CO_ASSIGN_OR_RETURN(const auto record, co_await GetRecord<storage::v1::StageRecord>(
                                                deps_.store, StageKey(stage.run.run.name(), stage.name)));
  co_return IsReadable(stage.shape, record.value_or(storage::v1::StageRecord()));
}

Task<StatusOr<v1::ListItemsResponse>> ItemRequests::List(v1::ListItemsRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const size_t size, PageSize(request.page_size(), 100));
  MR_CO_ASSIGN_OR_RETURN(const Stage stage, co_await Find(request.run(), request.stage()));
  std::string query = "items/" + request.run() + "/" + stage.name;
  for (const int wanted : request.states()) query += fmt::format("/{}", wanted);
  MR_CO_ASSIGN_OR_RETURN(std::string position, ReadPageToken(query, request.page_token()));
  MR_CO_ASSIGN_OR_RETURN(const bool readable, co_await IsReadableNow(stage));
  v1::ListItemsResponse response;
  if (!readable) co_return response;
  const ItemFilter filter{{request.states().begin(), request.states().end()}, stage.name, request.structs()};
  auto [begin, end] = ItemKeys(request.run(), stage.name).Items();
  if (!position.empty()) begin = std::move(position);
  size_t bytes = 0;
  while (!begin.empty()) {
    const size_t left = size - static_cast<size_t>(response.items_size());
    MR_CO_ASSIGN_OR_RETURN(ScanPage page, co_await deps_.store.Scan(std::move(begin), end, left, kPageBytes));
    begin = std::move(page.next);
    auto take = [entries = std::move(page.entries), filter, bytes]() mutable {
      return TakeItems(std::move(entries), filter, bytes);
    };
    MR_CO_ASSIGN_OR_RETURN(TakenItems taken, co_await Compute(deps_.loop, deps_.pool, std::move(take)));
    for (v1::Item& item : taken.items) {
      bytes += PageBytesOf(item.json());
      *response.add_items() = std::move(item);
    }
    const bool is_cut = !taken.cut_at.empty();
    if (is_cut) begin = std::move(taken.cut_at);
    if (static_cast<size_t>(response.items_size()) >= size || bytes >= kPageBytes || is_cut) break;
  }
  if (!begin.empty()) response.set_next_page_token(MakePageToken(query, begin));
  co_return response;
}

Task<StatusOr<std::vector<v1::StreamItemsResponse>>> ItemRequests::ReadCommits(std::string run, std::string stage,
                                                                               int64_t after, std::string query,
                                                                               bool structs) {
  const ItemKeys keys(run, stage);
  auto [begin, end] = keys.Commits(after + 1);
  MR_CO_ASSIGN_OR_RETURN(const ScanPage commits,
                         co_await deps_.store.Scan(std::move(begin), std::move(end), kStreamItems, 1 << 20));
  std::vector<std::string> item_keys;
  std::vector<int64_t> numbers;
  for (const StoreEntry& entry : commits.entries) {
    const std::optional<int64_t> ordinal = DecodeOrdinal(entry.key, entry.value);
    if (!ordinal) continue;
    item_keys.push_back(keys.Item(*ordinal));
    numbers.push_back(LastNumberOf(entry.key));
  }
  // In parts that grow while the items are small, so that a page is never read that is much larger than kPageBytes.
  std::vector<v1::StreamItemsResponse> page;
  size_t bytes = 0;
  size_t part = kFirstPart;
  for (size_t at = 0; at < item_keys.size() && bytes < kPageBytes; part *= 4) {
    const size_t end = std::min(item_keys.size(), at + part);
    std::vector<std::string> part_keys(item_keys.begin() + static_cast<int64_t>(at),
                                       item_keys.begin() + static_cast<int64_t>(end));
    std::vector<int64_t> part_numbers(numbers.begin() + static_cast<int64_t>(at),
                                      numbers.begin() + static_cast<int64_t>(end));
    at = end;
    MR_CO_ASSIGN_OR_RETURN(auto values, co_await deps_.store.MultiGet(part_keys));
    auto read = [part_keys = std::move(part_keys), part_numbers = std::move(part_numbers), values = std::move(values),
                 query, stage, structs, bytes]() mutable {
      return ReadPart(part_keys, part_numbers, std::move(values), {query, stage, structs}, bytes);
    };
    MR_CO_ASSIGN_OR_RETURN(StreamPart taken, co_await Compute(deps_.loop, deps_.pool, std::move(read)));
    bytes = taken.bytes;
    for (v1::StreamItemsResponse& item : taken.items) page.push_back(std::move(item));
    if (taken.is_cut) break;
  }
  co_return page;
}

Task<StatusOr<RunsApi::ItemPage>> ItemRequests::Next(RequestContext context, v1::StreamItemsRequest request) {
  MR_CO_ASSIGN_OR_RETURN(const Stage stage, co_await Find(request.run(), request.stage()));
  const std::string query = "stream/" + request.run() + "/" + stage.name;
  MR_CO_ASSIGN_OR_RETURN(const std::string position, ReadPageToken(query, request.resume_token()));
  int64_t after = 0;
  for (const char c : position) after = after * 10 + (c - '0');
  const std::shared_ptr<ActiveRun>& active = stage.run.active;
  if (active && request.follow()) active->Follow();
  while (true) {
    const bool is_unloadable = !active && runs_.IsUnloadable(request.run());
    const bool ended = active ? IsEnded(active->recorded_state()) && !active->working() : !is_unloadable;
    MR_CO_ASSIGN_OR_RETURN(const bool readable, co_await IsReadableNow(stage));
    const int64_t newest = active ? active->slot(stage.index).rows->delivered() : INT64_MAX;
    RunsApi::ItemPage page;
    if (readable) {
      MR_CO_ASSIGN_OR_RETURN(page.items,
                             co_await ReadCommits(request.run(), stage.name, after, query, request.structs()));
    }
    if (!page.items.empty()) co_return page;
    if (!request.follow() || ended) {
      page.end = true;
      co_return page;
    }
    if (is_unloadable) {
      co_await deps_.loop.Sleep(std::clamp(context.deadline - deps_.loop.Now(), Duration(0), kLookAgain));
      co_return page;
    }
    StageRows& rows = *active->slot(stage.index).rows;
    const bool has_ended = IsEnded(active->recorded_state()) && !active->working();
    if (rows.delivered() != newest || IsReadable(stage.shape, rows.record()) != readable || has_ended != ended)
      continue;
    // The end of the run moves no row of this stage: it is seen by looking again.
    const TimePoint look_again = deps_.loop.Now() + kLookAgain;
    const bool moved = co_await rows.moved().WaitUntil(std::min(context.deadline, look_again));
    if (!moved && deps_.loop.Now() >= context.deadline) co_return page;
  }
}

}  // namespace millrace
