// Spans in the making. Code that is traced starts them with a place in a trace (Ref) and lets them end with their
// scope. A place in no trace starts nothing, and then every method costs one comparison: callers need no condition.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/trace/span_record.h"

namespace millrace::trace {

class Span;

// A trace in the making: gives ids and times to its spans, and takes them when they end. One thread.
class Trace {
 public:
  virtual ~Trace() = default;
  // Returns an empty record with an id.
  virtual std::unique_ptr<SpanRecord> NewRecord() = 0;
  virtual TimePoint Now() const = 0;
  virtual void Take(std::unique_ptr<SpanRecord> ended) = 0;
  virtual void Forget(std::unique_ptr<SpanRecord> record) = 0;
  // The root asks that the trace is kept although it was not sampled.
  virtual void Keep() = 0;
  // Returns the identity of a span of this trace, for headers.
  virtual TraceContext ContextOf(SpanId span) const = 0;
  // Largest number of bytes of an attribute's text.
  virtual size_t text_bytes_max() const = 0;
  // True: prompts and answers may be recorded.
  virtual bool records_content() const = 0;
  // True: identities of spans are sent to other processes.
  virtual bool propagates() const = 0;
};

// A span as the parent of others; the trace value that requests, calls and attempts carry. 24 bytes. Empty: not traced.
struct Ref {
  std::shared_ptr<Trace> trace;
  SpanId span = 0;

  explicit operator bool() const { return trace != nullptr; }
};

// One span, or nothing. It ends when it is destroyed, unless it has ended. The thread of its trace.
class Span {
 public:
  Span() = default;
  // Starts a child of `parent` now; nothing if `parent` is empty. `name` is a literal.
  Span(const Ref& parent, const char* name, SpanKind kind = SpanKind::kInternal)
      : Span(parent, name, kind, std::string_view()) {}
  // The span's name is `name`, a space, and `label`.
  Span(const Ref& parent, const char* name, SpanKind kind, std::string_view label) {
    if (parent) Begin(parent, name, kind, label);
  }
  // Starts a root with this record, which has its id and start.
  Span(std::shared_ptr<Trace> trace, std::unique_ptr<SpanRecord> record)
      : trace_(std::move(trace)), record_(std::move(record)) {}
  Span(Span&& other) noexcept = default;
  Span& operator=(Span&& other) noexcept {
    End();
    trace_ = std::move(other.trace_);
    record_ = std::move(other.record_);
    return *this;
  }
  ~Span() { End(); }

  explicit operator bool() const { return record_ != nullptr; }
  // True if prompts and answers may be recorded in it.
  bool records_content() const { return record_ != nullptr && trace_->records_content(); }
  // True if its identity is to be sent to other processes.
  bool propagates() const { return record_ != nullptr && trace_->propagates(); }
  // Returns this span as a parent.
  Ref ref() const { return record_ ? Ref{trace_, record_->id} : Ref{}; }
  // Returns its identity for headers. REQUIRES: it is a span.
  TraceContext context() const { return trace_->ContextOf(record_->id); }

  // `key` is a literal, and so is a value of type `const char*`. Another text is copied, and cut to the trace's limit.
  void Set(const char* key, bool value) { Put(key, value); }
  void Set(const char* key, int64_t value) { Put(key, value); }
  void Set(const char* key, double value) { Put(key, value); }
  void Set(const char* key, const char* value) { Put(key, value); }
  void Set(const char* key, std::string_view value) {
    if (record_) PutText(key, value);
  }
  void Set(const char* key, const std::string& value) { Set(key, std::string_view(value)); }
  void Set(const char* key, std::vector<std::string> value) { Put(key, std::move(value)); }

  // Marks it as failed: `type` becomes the attribute error.type.
  void Fail(std::string_view type, std::string_view message) {
    if (record_) PutError(type, message);
  }
  // Keeps the trace of this root although it was not sampled.
  void Keep() {
    if (record_) trace_->Keep();
  }
  // Adds an event of now; the first 32 are kept.
  void AddEvent(const char* name, Attributes attributes = {}) {
    if (record_) PutEvent(name, std::move(attributes));
  }
  // Adds a link; nothing if `to` is empty.
  void AddLink(const Ref& to) {
    if (record_ && to) PutLink(to);
  }
  void End() {
    if (record_) Finish();
  }
  // Ends it; forgets it if it was shorter than a millisecond. For waits that are usually none.
  void EndIfNoticeable() {
    if (record_ && trace_->Now() - record_->start < std::chrono::milliseconds(1)) {
      trace_->Forget(std::move(record_));
    } else {
      End();
    }
  }

 private:
  void Begin(const Ref& parent, const char* name, SpanKind kind, std::string_view label);
  template <typename T>
  void Put(const char* key, T value) {
    if (record_) record_->attributes.emplace_back(key, std::move(value));
  }
  void PutText(const char* key, std::string_view value);
  void PutError(std::string_view type, std::string_view message);
  void PutEvent(const char* name, Attributes attributes);
  void PutLink(const Ref& to);
  void Finish();

  std::shared_ptr<Trace> trace_;
  std::unique_ptr<SpanRecord> record_;
};

}  // namespace millrace::trace
