#include "server/engine/step/feed.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "server/base/json.h"
#include "server/base/work_meter.h"
#include "server/engine/step/memo_lookup.h"
#include "server/stages/stop_flag.h"
#include "server/storage/records.h"

namespace millrace {
namespace {

constexpr size_t kPageBytes = 1 << 20;

// A row that other stages get, with its ordinal in its own stage.
struct ReadRow {
  InputItem item;
  int64_t commit = 0;
};

StatusOr<std::vector<ReadRow>> DecodeRows(const std::vector<StoreEntry>& entries) {
  std::vector<ReadRow> rows;
  rows.reserve(entries.size());
  for (const StoreEntry& entry : entries) {
    storage::v1::ItemRecord record;
    MR_RETURN_IF_ERROR(DecodeValue(entry.key, entry.value, record));
    if (record.state() != v1::ITEM_STATE_OK && record.state() != v1::ITEM_STATE_DEGRADED) continue;
    rows.push_back({{.ordinal = LastNumberOf(entry.key),
                     .id = std::move(*record.mutable_id()),
                     .json = std::make_shared<const std::string>(std::move(*record.mutable_json())),
                     .degraded = record.state() == v1::ITEM_STATE_DEGRADED},
                    record.commit()});
  }
  return rows;
}

// A page of a stage's rows, and the key where the next begins (empty: it was the last).
struct RowPage {
  std::vector<ReadRow> rows;
  std::string next;
};

// Reads a page. `begin`: `next` of the page before; empty: the first page.
Task<StatusOr<RowPage>> ReadRows(StepHost& host, const StageRows& rows, std::string begin, size_t max) {
  auto [first, end] = rows.keys().Items();
  if (begin.empty()) begin = std::move(first);
  MR_CO_ASSIGN_OR_RETURN(auto page, co_await host.store().Scan(std::move(begin), std::move(end), max, kPageBytes,
                                                               Store::Direction::kForwards));
  RowPage result;
  result.next = std::move(page.next);
  if (page.entries.empty()) co_return result;
  auto decode = [entries = std::move(page.entries)] { return DecodeRows(entries); };
  MR_CO_ASSIGN_OR_RETURN(auto decoded, co_await Compute(host.deps().loop, host.deps().pool, std::move(decode)));
  result.rows = std::move(decoded);
  co_return result;
}

Status Stopped() { return MakeError(Reason::kCancelled, "the run was stopped"); }

}  // namespace

Feed::Feed(StepHost& host, int stage, Event& changed) : host_(host), stage_(stage) {
  const PlanStage& plan = host.plan().stage(stage);
  for (size_t i = 0; i < plan.needs.size(); ++i) {
    Need need;
    need.stage = plan.needs[i];
    need.number = static_cast<int>(i);
    StageRows& rows = *host.slot(need.stage).rows;
    need.boundary = INT64_MAX;
    if (host.plan().Streams(need.stage, stage) && !rows.done()) {
      need.channel = std::make_unique<Channel>(host.deps().loop, changed, host.options().channel_items,
                                               host.options().channel_bytes);
      need.boundary = rows.delivered();
      need.read = need.boundary == 0;
      rows.Attach(*need.channel);
    }
    needs_.push_back(std::move(need));
  }
}

Task<StatusOr<std::vector<InputItem>>> Feed::Next(size_t max) {
  for (Need& need : needs_) {
    while (!need.read && (need.channel || host_.Complete(need.stage)) && !host_.stopped()) {
      StatusOr<std::vector<InputItem>> items = co_await Read(need, max);
      if (!items.ok() || !items->empty()) co_return items;
    }
  }
  for (Need& need : needs_) {
    if (!need.channel || !need.read) continue;
    std::vector<InputItem> items = need.channel->Take(max);
    if (items.empty()) continue;
    for (InputItem& item : items) item.ordinal = host_.plan().OrdinalIn(stage_, need.number, item.ordinal);
    co_return items;
  }
  co_return std::vector<InputItem>();
}

Task<StatusOr<std::vector<InputItem>>> Feed::Read(Need& need, size_t max) {
  MR_CO_ASSIGN_OR_RETURN(RowPage page, co_await ReadRows(host_, *host_.slot(need.stage).rows, need.next, max));
  std::vector<InputItem> items;
  for (ReadRow& row : page.rows) {
    if (row.commit > need.boundary) continue;
    items.push_back(std::move(row.item));
    items.back().ordinal = host_.plan().OrdinalIn(stage_, need.number, items.back().ordinal);
  }
  const StageRows& own = *host_.slot(stage_).rows;
  // A stage that has never committed anything has no row of its own to find.
  const bool may_have_rows = own.record().commits() > 0 || own.progress().parked() > 0;
  if (may_have_rows && !items.empty()) {
    std::vector<std::string> keys;
    keys.reserve(items.size());
    for (const InputItem& item : items) keys.push_back(own.keys().Item(item.ordinal));
    MR_CO_ASSIGN_OR_RETURN(auto values, co_await host_.store().MultiGet(std::move(keys)));
    size_t kept = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      if (values[i]) continue;
      if (kept != i) items[kept] = std::move(items[i]);
      ++kept;
    }
    items.resize(kept);
  }
  need.read = page.next.empty();
  need.next = std::move(page.next);
  co_return items;
}

bool Feed::exhausted() const {
  return std::all_of(needs_.begin(), needs_.end(),
                     [](const Need& need) { return need.read && (!need.channel || need.channel->exhausted()); });
}

void Feed::Stop() {
  for (Need& need : needs_) {
    if (need.channel) need.channel->Stop();
  }
}

WholeReader::WholeReader(StepHost& host, std::vector<Source> sources,
                         const std::optional<rules::ConditionEvaluator>* when, Which which)
    : host_(host), sources_(std::move(sources)), when_(when), which_(which) {}

WholeReader::WholeReader(StepHost& host, int stage, Which which)
    : host_(host), when_(&host.slot(stage).when), which_(which) {
  const std::vector<int>& needs = host.plan().stage(stage).needs;
  for (size_t i = 0; i < needs.size(); ++i) {
    Source source;
    source.stage = needs[i];
    source.factor = static_cast<int64_t>(needs.size());
    source.shift = static_cast<int64_t>(i);
    sources_.push_back(std::move(source));
  }
}

std::unique_ptr<WholeReader> WholeReader::OfStage(StepHost& host, int stage) {
  std::vector<Source> sources(1);
  sources[0].stage = stage;
  return std::unique_ptr<WholeReader>(new WholeReader(host, std::move(sources), nullptr, Which::kAll));
}

Task<Status> WholeReader::Fill(Source& source) {
  while (source.items.empty() && !source.read) {
    if (host_.stopped()) co_return Stopped();
    MR_CO_ASSIGN_OR_RETURN(RowPage page, co_await ReadRows(host_, *host_.slot(source.stage).rows, source.next, 1000));
    source.read = page.next.empty();
    source.next = std::move(page.next);
    std::vector<InputItem> items;
    for (ReadRow& row : page.rows) {
      items.push_back(std::move(row.item));
      items.back().ordinal = items.back().ordinal * source.factor + source.shift;
    }
    if (which_ != Which::kAll && when_ != nullptr && *when_) {
      const bool wanted = which_ == Which::kWorkedOn;
      struct Chosen {
        std::vector<InputItem> items;
        Oddities oddities;
      };
      const StopFlag stop(host_.stop());
      auto choose = [items = std::move(items), when = **when_, wanted,
                     flag = stop.Share()]() mutable -> StatusOr<Chosen> {
        Status status;
        Oddities all;
        std::erase_if(items, [&](const InputItem& item) {
          const WorkMeter meter({.cpu = kWhenCpuMax, .name = "the condition `when`"}, flag.get());
          const StatusOr<json::value> value = ParseExact(*item.json);
          Oddities oddities;
          const bool is_left_out = !value.ok() || when.Holds(*value, &oddities) != wanted;
          all.Count(oddities);
          // Nobody may take an item for left out whose condition could not be judged.
          if (!meter.status().ok()) status = WithContext(meter.status(), fmt::format("item `{}`", Excerpt(item.id)));
          return is_left_out;
        });
        MR_RETURN_IF_ERROR(status);
        return Chosen{.items = std::move(items), .oddities = std::move(all)};
      };
      MR_CO_ASSIGN_OR_RETURN(Chosen chosen,
                             co_await Compute(host_.deps().loop, host_.deps().slow(), std::move(choose)));
      items = std::move(chosen.items);
      if (counts_oddities_) oddities_.Count(chosen.oddities);
    } else if (which_ == Which::kPassing) {
      items.clear();
    }
    std::reverse(items.begin(), items.end());
    source.items = std::move(items);
  }
  co_return absl::OkStatus();
}

Task<StatusOr<std::vector<InputItem>>> WholeReader::Next() {
  std::vector<InputItem> next;
  while (next.size() < 1000) {
    // Another page is read only if no item is gathered: items that are gathered are returned first.
    Source* first = nullptr;
    for (Source& source : sources_) {
      if (source.items.empty() && !source.read) {
        if (!next.empty()) co_return next;
        MR_CO_RETURN_IF_ERROR(co_await Fill(source));
      }
      if (source.items.empty()) continue;
      if (first == nullptr || source.items.back().ordinal < first->items.back().ordinal) first = &source;
    }
    if (first == nullptr) break;
    next.push_back(std::move(first->items.back()));
    first->items.pop_back();
    ++count_;
  }
  co_return next;
}

void WholeReader::Rewind() {
  count_ = 0;
  counts_oddities_ = false;
  for (Source& source : sources_) {
    source.next.clear();
    source.read = false;
    source.items.clear();
  }
}

Task<StatusOr<Digest>> DigestOfInput(StepHost& host, int stage) {
  WholeReader reader(host, stage, WholeReader::Which::kWorkedOn);
  auto digester = std::make_shared<ItemListDigester>();
  while (true) {
    MR_CO_ASSIGN_OR_RETURN(std::vector<InputItem> items, co_await reader.Next());
    if (items.empty()) break;
    auto add = [digester, items = std::move(items)] { return digester->Add(items); };
    MR_CO_RETURN_IF_ERROR(co_await Compute(host.deps().loop, host.slot(stage).rows->pool(), std::move(add)));
  }
  co_return digester->Finish();
}

}  // namespace millrace
