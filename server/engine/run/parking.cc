#include "server/engine/run/parking.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

// Longest sleep: the wall clock may be set meanwhile.
constexpr Duration kLookEvery = std::chrono::seconds(60);

}  // namespace

Task<void> Parking::Watch() {
  while (true) {
    const uint64_t looks = looks_;
    const std::optional<int64_t> next = co_await WakeDue();
    if (looks != looks_) continue;
    TimePoint until = kNever;
    if (next) {
      const int64_t left_micros = std::max<int64_t>(*next - loop_.clock().WallMicros(), 1000);
      until = loop_.Now() + std::min<Duration>(kLookEvery, std::chrono::microseconds(left_micros));
    }
    co_await changed_.WaitUntil(until);
  }
}

Task<std::optional<int64_t>> Parking::WakeDue() {
  auto [begin, end] = ParkedKeys();
  const int64_t now_micros = loop_.clock().WallMicros();
  while (!begin.empty()) {
    auto page = co_await store_.Scan(std::move(begin), end, 1000, 1 << 20, Store::Direction::kForwards);
    if (!page.ok()) co_return now_micros + 1'000'000;
    for (const StoreEntry& entry : page->entries) {
      const std::optional<ParkedItem> item = ReadParkedKey(entry.key);
      if (!item) continue;
      const std::shared_ptr<ActiveRun> run = find_run_(item->run);
      // Items of a run that is paused or has ended stay parked; a resume or a redrive looks again.
      if (run == nullptr || !run->working()) continue;
      if (item->wake_micros > now_micros) co_return item->wake_micros;
      run->WakeParked(item->stage, item->ordinal, item->wake_micros);
    }
    begin = std::move(page->next);
  }
  co_return std::nullopt;
}

}  // namespace millrace
