// The identity of a span, and W3C Trace Context (https://www.w3.org/TR/trace-context-2): the headers by which it
// crosses processes. The same names serve as HTTP headers and as keys of gRPC metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::trace {

inline constexpr char kTraceparentKey[] = "traceparent";
inline constexpr char kTracestateKey[] = "tracestate";

// Sixteen bytes; all zero is invalid.
struct TraceId {
  uint64_t high = 0;
  uint64_t low = 0;  // bytes 8 to 15, by which samplers decide

  bool is_valid() const { return (high | low) != 0; }
  bool operator==(const TraceId&) const = default;
};

// Eight bytes; 0 is invalid.
using SpanId = uint64_t;

// Returns the id of a trace that is named by `name` within the trace `scope`. The same names always give the same id,
// so that what one item does in several stages, and before and after a restart, is one trace. Uniform over all ids, so
// that samplers choose fairly. Not for secrets.
TraceId NamedTraceId(const TraceId& scope, std::string_view name);

// A span of any process, as headers describe it.
struct TraceContext {
  TraceId trace;
  SpanId span = 0;
  bool sampled = false;
  bool random = false;  // the trace id was drawn at random
  std::string state;    // tracestate, which is passed on unchanged; may be empty
};

// Reads the values of the headers `traceparent` and `tracestate`, of which a request may have several. Returns nothing
// if there is not exactly one valid traceparent; then a new trace begins, and tracestate means nothing. An invalid
// tracestate alone is dropped.
std::optional<TraceContext> ReadTraceContext(const std::vector<std::string_view>& traceparents,
                                             const std::vector<std::string_view>& tracestates);

// Returns the value of the header `traceparent`, 55 characters of version 00.
std::string FormatTraceparent(const TraceContext& context);

// Return lower-case hexadecimal digits: 32 and 16.
std::string Hex(const TraceId& id);
std::string Hex(SpanId id);

// Return the bytes in network order: 16 and 8.
std::string Bytes(const TraceId& id);
std::string Bytes(SpanId id);

}  // namespace millrace::trace
