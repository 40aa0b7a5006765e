// Queue of spans that wait for the exporter: bounded in spans and bytes, so that a receiver that is down costs neither
// memory nor time. Spans that do not fit are dropped and counted.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "server/base/clock.h"
#include "server/otlp/settings.h"
#include "server/trace/recorder.h"

namespace millrace::otlp {

// Any thread.
class SpanQueue {
 public:
  explicit SpanQueue(const BatchOptions& options) : options_(options) {}

  // Adds spans, or drops all of them. Never waits for anything but a short lock. Returns the number of dropped spans.
  int64_t Put(trace::EndedSpans spans);

  // Waits until a batch is full, its oldest spans have waited for `delay`, or the queue is closed; then returns the
  // oldest spans, about `batch_spans_max` of them. Returns nothing if the queue is closed and empty.
  std::vector<trace::EndedSpans> Take();
  // Take does not wait from now on; Put drops.
  void Close();
  // Waits for `duration`, but not once the queue is closed.
  void Rest(Duration duration);

  int64_t waiting() const;

 private:
  struct Entry {
    trace::EndedSpans spans;
    size_t bytes = 0;
  };

  const BatchOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> entries_;  // guarded by mutex_, as are all below
  size_t spans_ = 0;
  size_t bytes_ = 0;
  bool is_closed_ = false;
};

}  // namespace millrace::otlp
