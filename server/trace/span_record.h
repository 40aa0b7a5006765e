// Record of one span, from its start until it is exported.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/base/clock.h"
#include "server/trace/trace_context.h"

namespace millrace::trace {

// A `const char*` is a literal, which nobody copies.
using AttributeValue = std::variant<bool, int64_t, double, const char*, std::string, std::vector<std::string>>;

struct Attribute {
  // Made in place, since GCC 12 warns of moves of a variant that it calls uninitialized.
  template <typename T>
  Attribute(const char* its_key, T its_value) : key(its_key), value(std::in_place_type<T>, std::move(its_value)) {}

  const char* key;  // a literal
  AttributeValue value;
};
using Attributes = std::vector<Attribute>;

enum class SpanKind { kInternal = 1, kServer = 2, kClient = 3 };  // numbers of OTLP

// Something that happened at one moment of a span.
struct SpanEvent {
  const char* name = "";  // a literal
  TimePoint time{};
  Attributes attributes;
};

// A related span of another trace, or of the same.
struct SpanLink {
  TraceId trace;
  SpanId span = 0;
  bool sampled = false;
};

struct SpanRecord {
  SpanId id = 0;
  SpanId parent = 0;  // 0: a root
  bool is_parent_remote = false;
  SpanKind kind = SpanKind::kInternal;
  const char* name = "";  // a literal
  std::string label;      // follows the name after a space; may be empty
  TimePoint start{};
  TimePoint end{};
  bool is_error = false;
  std::string error;  // message of the error
  Attributes attributes;
  std::vector<SpanEvent> events;
  std::vector<SpanLink> links;

  // Makes it as new, except that it keeps its memory.
  void Clear();
};

// Spans of one trace that have ended and are to be exported.
struct EndedSpans {
  TraceId trace;
  bool sampled = false;
  std::string state;              // tracestate
  int64_t wall_offset_nanos = 0;  // Unix time minus the steady clock's, by which the times of the spans are converted
  std::vector<std::unique_ptr<SpanRecord>> spans;
};

// Returns about how many bytes of memory a record takes.
size_t BytesOf(const SpanRecord& record);

}  // namespace millrace::trace
