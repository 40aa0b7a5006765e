#include "server/otlp/span_queue.h"

#include <utility>

namespace millrace::otlp {

int64_t SpanQueue::Put(trace::EndedSpans spans) {
  const size_t count = spans.spans.size();
  size_t bytes = 0;
  for (const auto& span : spans.spans) bytes += BytesOf(*span);
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_closed_ || spans_ + count > options_.queue_spans_max || bytes_ + bytes > options_.queue_bytes_max) {
      return static_cast<int64_t>(count);
    }
    // The first span starts the wait for others, and the one that fills a batch ends it.
    wakes = entries_.empty() || (spans_ < options_.batch_spans_max && spans_ + count >= options_.batch_spans_max);
    spans_ += count;
    bytes_ += bytes;
    entries_.push_back({std::move(spans), bytes});
  }
  if (wakes) changed_.notify_all();
  return 0;
}

std::vector<trace::EndedSpans> SpanQueue::Take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !entries_.empty() || is_closed_; });
  changed_.wait_for(lock, options_.delay, [this] { return spans_ >= options_.batch_spans_max || is_closed_; });
  std::vector<trace::EndedSpans> batch;
  size_t count = 0;
  while (!entries_.empty() && (count == 0 || count + entries_.front().spans.spans.size() <= options_.batch_spans_max)) {
    Entry& entry = entries_.front();
    count += entry.spans.spans.size();
    spans_ -= entry.spans.spans.size();
    bytes_ -= entry.bytes;
    batch.push_back(std::move(entry.spans));
    entries_.pop_front();
  }
  return batch;
}

void SpanQueue::Close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_all();
}

void SpanQueue::Rest(Duration duration) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, duration, [this] { return is_closed_; });
}

int64_t SpanQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(spans_);
}

}  // namespace millrace::otlp
