// The next step after the reply to an export, as a value. The table is that of the OTLP specification.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/base/clock.h"
#include "server/base/random.h"

namespace millrace::otlp {

// The reply to one try of one request.
struct Reply {
  int code = 0;          // of gRPC
  std::string message;   // error; or the warning of a receiver that took everything
  std::string details;   // serialized google.rpc.Status of an error
  int64_t rejected = 0;  // spans that the receiver took the request without
};

enum class Verdict { kDone, kRetry, kDrop };

struct Decision {
  Verdict verdict = Verdict::kDone;
  std::optional<Duration> delay;  // that the receiver asks for before the next try
};
Decision After(const Reply& reply);

// Returns the wait after the n-th try (from 1): `initial` doubled each time, times a number from 0.8 to 1.2, because
// exporters that failed together must not return together.
Duration BackoffAfter(int tries, Duration initial, Random& random);

}  // namespace millrace::otlp
