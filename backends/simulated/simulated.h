// Backend `simulated`: latencies, errors and answers drawn from a profile and a seed, without I/O. The content of an
// answer depends only on the question and the seed; whether and when it comes also depends on the attempt. For load
// tests and experiments with failures. (`millrace simulate` does not use it: its provider is
// server/simulator/provider.h, which has the same profile.)
#pragma once

#include <memory>
#include <string>

#include "backends/sdk/backend.h"
#include "backends/sdk/kind.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend {

// Makes the backend. REQUIRES: `profile` has its defaults filled in.
std::unique_ptr<Backend> MakeSimulated(const v1::SimulatedProfile& profile, uint64_t seed);

BackendKind SimulatedKind();

// Returns a JSON value that satisfies a schema as far as `type`, `properties`, `items`, `enum`, `const`, `minimum`,
// `maximum`, `minLength`, `maxLength`, `minItems` and `maxItems` define it. Texts have `text_bytes` in total. The
// result depends only on the arguments. (example.cc)
std::string ExampleFor(const std::string& schema, size_t text_bytes, uint64_t seed);
// Returns words of `bytes` in total.
std::string ExampleText(size_t bytes, uint64_t seed);

}  // namespace millrace::backend
