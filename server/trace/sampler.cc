#include "server/trace/sampler.h"

#include <cmath>

namespace millrace::trace {

bool Sampler::Keeps(const TraceId& id, const TraceContext* parent) const {
  if (follows_parent && parent != nullptr) return parent->sampled;
  if (is_off || !(ratio > 0)) return false;
  if (ratio >= 1) return true;
  // The rule of OpenTelemetry's TraceIdRatioBased samplers: the low 64 bits, below ratio * 2^64. The product is below
  // 2^64 for every ratio below 1.
  return id.low < static_cast<uint64_t>(std::ldexp(ratio, 64));
}

}  // namespace millrace::trace
