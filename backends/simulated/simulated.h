// The backend `simulated`: latencies, errors and answers by a profile and a seed, without any I/O. What a question is
// answered depends on the question and the seed alone; whether and when an attempt is answered also on the attempt. For
// load tests, capacity planning (`millrace simulate`) and trying out what failures do.
#pragma once

#include <memory>
#include <string>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend {

// `profile` has its defaults filled in.
std::unique_ptr<Backend> MakeSimulated(const v1::SimulatedProfile& profile, uint64_t seed);

// A JSON value that fits a schema as well as can be told from `type`, `properties`, `required`, `items`, `enum`,
// `const`, `minimum`, `minLength`, `minItems`; texts are `text_bytes` long together. `seed` fixes it. (example.cc)
std::string ExampleFor(const std::string& schema, size_t text_bytes, uint64_t seed);
// Words, `bytes` long.
std::string ExampleText(size_t bytes, uint64_t seed);

}  // namespace millrace::backend
