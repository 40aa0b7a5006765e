// The exporter: a thread that takes spans from a bounded queue, sends them in batches, and tries again as OTLP says. A
// receiver that is down, slow or wrong costs spans, which are counted and reported in the log, and nothing else.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/otlp/settings.h"
#include "server/otlp/span_queue.h"
#include "server/otlp/transport.h"
#include "server/trace/recorder.h"

namespace millrace::otlp {

// Any thread.
class Exporter final : public trace::SpanSink {
 public:
  Exporter(const Clock& clock, Random random, std::unique_ptr<Transport> transport, const BatchOptions& options,
           Pairs resource, std::string version);
  // Drops what has not been sent; Stop first to send it.
  ~Exporter() override;

  void Take(trace::EndedSpans spans) override;
  void CountDropped(int64_t spans) override { dropped_in_trace_ += spans; }
  trace::Figures figures() const override;

  // Sends what waits, without tries again, for `patience` at most; drops and counts the rest. Blocks. Spans that come
  // later are dropped.
  void Stop(Duration patience);

 private:
  void Run();
  // Encodes spans into requests that are not too large, and sends these.
  void Send(const std::vector<trace::EndedSpans>& batch);
  void SendRequest(const Request& request, int64_t spans);
  void NewRequest(Request& request) const;
  void Report(bool is_last);

  const Clock& clock_;
  Random random_;  // of the thread
  const std::unique_ptr<Transport> transport_;
  const BatchOptions options_;
  const Pairs resource_;
  const std::string version_;
  SpanQueue queue_;

  std::atomic<int64_t> exported_{0};
  std::atomic<int64_t> dropped_queue_full_{0};
  std::atomic<int64_t> dropped_failed_{0};
  std::atomic<int64_t> dropped_rejected_{0};
  std::atomic<int64_t> dropped_too_large_{0};
  std::atomic<int64_t> dropped_in_trace_{0};

  std::atomic<bool> is_stopping_{false};
  // The thread's own.
  std::string trouble_;             // the newest error or warning of the receiver
  int64_t reported_ = 0;            // dropped spans in the newest report
  bool is_failing_ = false;         // the newest report says so
  int64_t exported_by_report_ = 0;  // exported spans in the newest report
  TimePoint report_after_{};

  std::mutex ended_mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;  // guarded by ended_mutex_
  std::thread thread_;      // the last member
};

}  // namespace millrace::otlp
