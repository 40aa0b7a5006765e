// Names of calls. A call's key says all that its answer depends on: who answers (the identity of the model) and what is
// asked (the canonical request); not where it is sent, nor with which credentials. docs/formats.md has the bytes.
#pragma once

#include <cstdint>
#include <string>

#include "backends/sdk/backend.h"
#include "server/base/digest.h"

namespace millrace {

// Who answers.
struct ModelIdentity {
  std::string protocol_family;  // of the backend's manifest
  std::string model;            // the provider's name
  std::string revision;         // where configured; empty: not known
  int dialect_version = 0;      // of the backend's manifest
};

// The identity as canonical JSON.
std::string CanonicalIdentity(const ModelIdentity& identity);

// The request as canonical JSON: messages, sampling, largest answer, and the schema as a text, because the order of its
// members matters to providers. Neither model nor sample number.
std::string CanonicalRequest(const backend::Request& request);

// The key. `sample_number` asks the same question anew; so does `retry`, for the tries after an answer that could not
// be used: each answer of a run is paid under a key of its own.
Digest CallKey(const std::string& canonical_identity, const std::string& canonical_request, int64_t sample_number,
               int32_t retry = 0);

}  // namespace millrace
