// A pure stage computes a chunk in slices, so that results are committed before more are made, and other work gets the
// thread in between.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "server/base/work_meter.h"
#include "server/engine/step/memo_lookup.h"
#include "server/stages/pure_stage.h"

namespace millrace {

// Bytes of results, and CPU time, at which a slice ends.
inline constexpr size_t kSliceBytes = 4u << 20;
inline constexpr Duration kSliceCpu = std::chrono::milliseconds(100);

// Returns the bytes that an ended item takes until it is committed.
inline size_t BytesOf(const EndedItem& ended) {
  return ended.item.json.size() + (ended.json ? ended.json->size() : 0) + ended.item.settlement.batch.bytes();
}

// Items of a chunk that a pure stage computes, a part at a time. The step and the job on the pool use it in turns.
struct Slice {
  // `counts_cpu`: false in simulated time, in which slices end by their bytes alone.
  Slice(std::vector<OpenItem> items, size_t item_bytes, bool counts_cpu)
      : open(std::move(items)), item_bytes_max(item_bytes), counts_cpu(counts_cpu) {}

  // Computes the next items, at least one, until they have enough bytes or have taken enough CPU time.
  Status Compute(const PureStage& stage, const std::atomic<bool>& stop) {
    const WorkMeter meter({.bytes = item_bytes_max, .name = "the stage"}, &stop);
    const Duration begun = WorkMeter::ThreadCpu();
    size_t bytes = 0;
    while (next < open.size() && !stop) {
      OpenItem& item = open[next++];
      std::vector<ParsedItem> one;
      one.push_back({item.input.item, std::move(item.input.value)});
      std::vector<StageItem> results = stage.Compute(std::move(one));
      if (results.size() != 1) {
        return MakeError(Reason::kInternal, fmt::format("the stage made {} items of one", results.size()));
      }
      bytes += results.front().json.size();
      made.emplace_back(&item, std::move(results.front()));
      if (bytes >= kSliceBytes || (counts_cpu && WorkMeter::ThreadCpu() - begun >= kSliceCpu)) break;
    }
    return absl::OkStatus();
  }

  std::vector<OpenItem> open;
  const size_t item_bytes_max;
  const bool counts_cpu;
  size_t next = 0;                                    // the first item that is not computed
  std::vector<std::pair<OpenItem*, StageItem>> made;  // not yet pushed, with their inputs
};

}  // namespace millrace
