// Runs a barrier stage over items given as JSON, on a simulated clock, and hands back what it put.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/json.h"
#include "server/files/file_access.h"
#include "server/stages/stage_work.h"

namespace millrace {

// Items in pages, as the engine gives them.
class PagedItems final : public ItemReader {
 public:
  PagedItems(std::vector<InputItem> items, size_t page) : items_(std::move(items)), page_(page) {}

  Task<StatusOr<std::vector<InputItem>>> Next() override {
    std::vector<InputItem> page;
    while (at_ < items_.size() && page.size() < page_) page.push_back(items_[at_++]);
    co_return page;
  }
  void Rewind() override { at_ = 0; }

 private:
  std::vector<InputItem> items_;
  size_t page_;
  size_t at_ = 0;
};

// Keeps what a stage puts.
class KeptItems final : public ItemWriter {
 public:
  Task<Status> Put(std::vector<StageItem> items) override {
    for (StageItem& item : items) items_.push_back(std::move(item));
    co_return absl::OkStatus();
  }
  std::vector<StageItem> Take() { return std::move(items_); }

 private:
  std::vector<StageItem> items_;
};

// Allows nothing: barriers read no files.
class NoFiles final : public FileAccess {
 public:
  StatusOr<std::string> ForReading(std::string_view) const override { return absl::PermissionDeniedError("no files"); }
  StatusOr<std::string> ForWriting(std::string_view) const override { return absl::PermissionDeniedError("no files"); }
};

// The items with their JSON parsed, as a stage that works on each gets them. REQUIRES: each is JSON.
inline std::vector<ParsedItem> Parsed(const std::vector<InputItem>& items) {
  std::vector<ParsedItem> parsed;
  for (const InputItem& item : items) parsed.push_back({item, *ParseJson(*item.json)});
  return parsed;
}

// The context of a stage of the run `r-1`.
inline StageContext ContextOf(Loop& loop, Pool& pool, const v1::Stage& stage) {
  return {.loop = loop,
          .pool = pool,
          .run = "r-1",
          .pipeline = "test",
          .stage = stage.name(),
          .generation = "r-1",
          .as_of_micros = 0,
          .stop = nullptr};
}

inline std::vector<InputItem> ItemsOf(const std::vector<json::object>& objects) {
  std::vector<InputItem> items;
  for (const json::object& object : objects) {
    InputItem item;
    item.ordinal = static_cast<int64_t>(items.size());
    const json::value& id = object.at("id");
    item.id = std::string(id.get_string());
    item.json = std::make_shared<const std::string>(json::serialize(object));
    items.push_back(std::move(item));
  }
  return items;
}

// Returns the items that a stage of `kind` makes of the items, or its error.
inline StatusOr<std::vector<StageItem>> RunBarrier(const StageKind& kind, const v1::Stage& stage,
                                                   std::vector<InputItem> items, size_t page = 100) {
  const v1::Pipeline pipeline;
  const NoFiles files;
  MR_ASSIGN_OR_RETURN(StageWork work, kind.make({pipeline, stage, files}));
  SimulatedClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeInlinePool(loop);
  StageContext context = ContextOf(loop, *pool, stage);
  PagedItems reader(std::move(items), page);
  KeptItems writer;
  std::optional<Status> status;
  const auto run = [](const BarrierStage& barrier, StageContext& context, ItemReader& reader, ItemWriter& writer,
                      std::optional<Status>& status) -> Task<void> {
    status = co_await barrier.Run(context, reader, writer);
  };
  loop.Spawn(run(WorkAs<BarrierStage>(work), context, reader, writer, status));
  loop.RunUntil([&] { return status.has_value(); });
  if (!status) return absl::InternalError("the stage did not end");
  if (!status->ok()) return *status;
  return writer.Take();
}

}  // namespace millrace
