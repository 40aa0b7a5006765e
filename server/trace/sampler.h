// The decision at the beginning of a trace whether it is kept. Traces that it passes over may still be kept at their
// end, because they failed or were slow (recorder.h).
#pragma once

#include "server/trace/trace_context.h"

namespace millrace::trace {

// A share of all traces, chosen by their ids, so that every process that uses the same share chooses the same traces. A
// pure function of its arguments.
struct Sampler {
  // Share of the traces that begin here, 0 to 1.
  double ratio = 1;
  // Follows the caller's decision for a trace that began elsewhere. False: decides about these, too.
  bool follows_parent = true;
  // Keeps nothing that begins here, not even failures. It is not the same as the ratio 0.
  bool is_off = false;

  // Returns whether a trace is kept from its beginning. `parent`: the caller's span; null for a trace that begins here.
  bool Keeps(const TraceId& id, const TraceContext* parent) const;

  // Returns whether a trace that Keeps refused may still be kept at its end. A caller's decision is final.
  bool MayKeepLater(const TraceContext* parent) const { return !is_off && !(follows_parent && parent != nullptr); }
};

}  // namespace millrace::trace
