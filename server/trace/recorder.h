// The tracer that records. The spans of a trace wait in its buffer until the root ends. Then the trace is kept if it
// was sampled, if its root failed or asked for it, or if it was slow; else all of it is dropped.
#pragma once

#include <cstdint>
#include <memory>

#include "server/base/clock.h"
#include "server/base/random.h"
#include "server/trace/sampler.h"
#include "server/trace/tracer.h"

namespace millrace::trace {

// Takes spans that are to be exported.
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  // Never waits. Any thread.
  virtual void Take(EndedSpans spans) = 0;
  // Counts spans of traces to be kept that did not fit into a buffer. Any thread.
  virtual void CountDropped(int64_t spans) = 0;
  virtual Figures figures() const = 0;
};

struct RecorderOptions {
  Sampler sampler;
  Duration slow_after{};         // 0: items are never slow
  bool propagates = true;        // see Tracer
  bool records_content = false;  // prompts and answers
  size_t text_bytes_max = 4096;  // of an attribute's text
  // Spans that one trace buffers, besides its root: the first half of them and the newest.
  size_t trace_spans_max = 64;
  // Spans that all traces buffer together. Beyond, traces have their roots only.
  size_t buffered_spans_max = 100'000;
  // Bytes of these spans.
  size_t buffered_bytes_max = 64u << 20;
};

// Engine thread. `clock` and `sink` must outlive it and its spans.
class Recorder final : public Tracer {
 public:
  Recorder(const Clock& clock, Random random, SpanSink& sink, RecorderOptions options);
  ~Recorder() override;

  Span Begin(Beginning beginning) override;
  bool is_on() const override { return true; }
  bool propagates() const override;
  Duration slow_after() const override;
  Figures figures() const override;

 private:
  struct Shared;
  class Recording;
  // Spans may end after the recorder is gone, at the end of the process.
  const std::shared_ptr<Shared> shared_;
};

}  // namespace millrace::trace
