// The beginning of traces.
#pragma once

#include <optional>
#include <string>

#include "server/base/clock.h"
#include "server/trace/span.h"

namespace millrace::trace {

// How a trace begins here.
struct Beginning {
  const char* name = "";  // of its root; a literal
  std::string label;      // follows the name after a space; may be empty
  SpanKind kind = SpanKind::kInternal;
  std::optional<TraceContext> parent;  // the caller's span in another process
  std::optional<TraceId> id;           // without a parent; absent: drawn at random
  // True: its spans are exported as they end, as is right for a long trace of few spans, which is always sampled unless
  // sampling is off. False: its spans wait until the root ends, and are then kept or dropped together.
  bool is_long = false;
  // A root that takes longer keeps the trace. Zero: however long it takes.
  Duration slow_after{};
  std::optional<TimePoint> start;  // absent: now
};

// Numbers since the start.
struct Figures {
  int64_t exported = 0;            // spans that a receiver has accepted
  int64_t dropped = 0;             // spans that were to be exported and were not, for the reasons below
  int64_t dropped_queue_full = 0;  // the queue was full
  int64_t dropped_failed = 0;      // the receiver failed, or did not answer in time
  int64_t dropped_rejected = 0;    // the receiver answered that it does not take them
  int64_t dropped_too_large = 0;   // a span alone was larger than a request may be
  int64_t dropped_in_trace = 0;    // the trace had more spans than are buffered
  int64_t waiting = 0;             // spans in the queue
};

// Begins traces. Engine thread.
class Tracer {
 public:
  virtual ~Tracer() = default;

  // Returns the root of a new trace; nothing if the trace can't be kept, whatever happens.
  virtual Span Begin(Beginning beginning) = 0;
  // False: Begin returns nothing, always. Any thread.
  virtual bool is_on() const = 0;
  // True: the identity of spans is sent to backends and taken from clients. Any thread.
  virtual bool propagates() const = 0;
  // Duration after which an item is slow.
  virtual Duration slow_after() const = 0;
  virtual Figures figures() const = 0;
};

// Tracing is off.
class NullTracer final : public Tracer {
 public:
  Span Begin(Beginning) override { return Span(); }
  bool is_on() const override { return false; }
  bool propagates() const override { return false; }
  Duration slow_after() const override { return Duration(0); }
  Figures figures() const override { return {}; }
};

}  // namespace millrace::trace
