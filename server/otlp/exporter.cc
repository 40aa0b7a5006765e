#include "server/otlp/exporter.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/base/status.h"
#include "server/base/thread.h"
#include "server/otlp/encode.h"

namespace millrace::otlp {
namespace {

constexpr int kTriesMax = 6;
// Bytes of a span in a list beside its own: a tag and a length, three levels deep.
constexpr size_t kFieldOverhead = 12;

// Returns why spans were dropped, such as `3 rejected, 4 because the queue was full`.
std::string CausesOf(const trace::Figures& figures) {
  std::string causes;
  const auto add = [&causes](int64_t count, std::string_view cause) {
    if (count > 0) causes += fmt::format("{}{} {}", causes.empty() ? "" : ", ", count, cause);
  };
  add(figures.dropped_queue_full, "because the queue was full");
  add(figures.dropped_failed, "because the receiver failed");
  add(figures.dropped_rejected, "rejected");
  add(figures.dropped_too_large, "too large");
  add(figures.dropped_in_trace, "of traces with too many spans");
  return causes;
}

}  // namespace

Exporter::Exporter(const Clock& clock, Random random, std::unique_ptr<Transport> transport, const BatchOptions& options,
                   Pairs resource, std::string version)
    : clock_(clock),
      random_(std::move(random)),
      transport_(std::move(transport)),
      options_(options),
      resource_(std::move(resource)),
      version_(std::move(version)),
      queue_(options),
      thread_([this] { Run(); }) {}

Exporter::~Exporter() { Stop(Duration(0)); }

void Exporter::Take(trace::EndedSpans spans) { dropped_queue_full_ += queue_.Put(std::move(spans)); }

trace::Figures Exporter::figures() const {
  trace::Figures figures{.exported = exported_,
                         .dropped_queue_full = dropped_queue_full_,
                         .dropped_failed = dropped_failed_,
                         .dropped_rejected = dropped_rejected_,
                         .dropped_too_large = dropped_too_large_,
                         .dropped_in_trace = dropped_in_trace_,
                         .waiting = queue_.waiting()};
  figures.dropped = figures.dropped_queue_full + figures.dropped_failed + figures.dropped_rejected +
                    figures.dropped_too_large + figures.dropped_in_trace;
  return figures;
}

void Exporter::Stop(Duration patience) {
  if (!thread_.joinable()) return;
  is_stopping_ = true;
  queue_.Close();
  {
    std::unique_lock lock(ended_mutex_);
    ended_.wait_for(lock, patience, [this] { return has_ended_; });
  }
  transport_->Cancel();
  thread_.join();
}

void Exporter::Run() {
  NameThread("traces");
  while (true) {
    std::vector<trace::EndedSpans> batch = queue_.Take();
    if (batch.empty()) break;
    Send(batch);
    Report(false);
  }
  Report(true);
  const std::lock_guard lock(ended_mutex_);
  has_ended_ = true;
  ended_.notify_all();
}

void Exporter::NewRequest(Request& request) const {
  request.Clear();
  EncodeOrigin(resource_, version_, *request.add_resource_spans());
}

void Exporter::Send(const std::vector<trace::EndedSpans>& batch) {
  Request request;
  NewRequest(request);
  const size_t empty_bytes = request.ByteSizeLong();
  size_t bytes = empty_bytes;
  int64_t spans = 0;
  for (const trace::EndedSpans& trace : batch) {
    for (const auto& record : trace.spans) {
      opentelemetry::proto::trace::v1::Span span;
      Encode(trace, *record, span);
      const size_t span_bytes = span.ByteSizeLong() + kFieldOverhead;
      if (empty_bytes + span_bytes > options_.request_bytes_max) {
        ++dropped_too_large_;
        continue;
      }
      if (bytes + span_bytes > options_.request_bytes_max) {
        SendRequest(request, spans);
        NewRequest(request);
        bytes = empty_bytes;
        spans = 0;
      }
      *request.mutable_resource_spans(0)->mutable_scope_spans(0)->add_spans() = std::move(span);
      bytes += span_bytes;
      ++spans;
    }
  }
  if (spans > 0) SendRequest(request, spans);
}

void Exporter::SendRequest(const Request& request, int64_t spans) {
  const TimePoint deadline = clock_.Now() + options_.timeout;
  for (int tries = 1;; ++tries) {
    const Reply reply = transport_->Send(request, deadline - clock_.Now());
    const Decision decision = After(reply);
    if (decision.verdict == Verdict::kDone) {
      const int64_t rejected = std::clamp<int64_t>(reply.rejected, 0, spans);
      dropped_rejected_ += rejected;
      exported_ += spans - rejected;
      trouble_ = reply.message;
      return;
    }
    trouble_ = reply.message;
    const Duration wait = decision.delay.value_or(BackoffAfter(tries, options_.backoff, random_));
    const bool is_over = tries >= kTriesMax || is_stopping_ || wait >= deadline - clock_.Now();
    if (decision.verdict == Verdict::kDrop || is_over) {
      dropped_failed_ += spans;
      return;
    }
    queue_.Rest(wait);
  }
}

// At most one report in each interval, and one at the end.
void Exporter::Report(bool is_last) {
  const trace::Figures figures = this->figures();
  const int64_t dropped = figures.dropped;
  const TimePoint now = clock_.Now();
  if (now < report_after_ && !is_last) return;
  if (dropped > reported_) {
    exported_by_report_ = figures.exported;
    spdlog::warn("traces: {} more spans were dropped, {} so far ({}){}", dropped - reported_, dropped,
                 CausesOf(figures),
                 trouble_.empty() ? "" : fmt::format("; the receiver's newest error: {}", Excerpt(trouble_, 256)));
    reported_ = dropped;
    is_failing_ = true;
    report_after_ = now + options_.log_interval;
  } else if (is_failing_ && figures.exported > exported_by_report_) {
    spdlog::info("traces: spans are exported again");
    is_failing_ = false;
  } else if (!trouble_.empty() && !is_last) {
    spdlog::warn("traces: the receiver warns: {}", Excerpt(trouble_, 256));
    report_after_ = now + options_.log_interval;
  }
}

}  // namespace millrace::otlp
