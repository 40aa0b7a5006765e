// Call keys. A call key covers all that an answer depends on: the identity of the model and the canonical request, the
// sample number and the number of earlier answers that could not be used. It covers neither the address nor the
// credentials. docs/formats.md has the bytes. A call has several: one for each route, of its question and of every
// repair.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "server/base/digest.h"

namespace millrace {

// Identity of the model that answers.
struct ModelIdentity {
  std::string protocol_family;  // of the backend's manifest
  std::string model;            // the provider's name
  std::string revision;         // as configured; empty: not known
  int dialect_version = 0;      // of the backend's manifest
  std::string options;          // answer_options of the backend's manifest; empty: none
};

// Returns the identity as canonical JSON.
std::string CanonicalIdentity(const ModelIdentity& identity);

// Returns the request as canonical JSON: messages, sampling, largest answer, and the schema as a text, because the
// order of its members matters to providers. It has neither the model nor the sample number.
std::string CanonicalRequest(const backend::Request& request);

// Returns the canonical request of one text to embed. The key that CallKey makes of it names its vector.
std::string CanonicalText(const std::string& text, const std::optional<int32_t>& dimensions);

// Returns the canonical request of texts that are embedded together, made of the keys of the texts.
std::string CanonicalBatch(const std::vector<Digest>& text_keys);

// Returns the key under which an answer is cached, an attempt is pending, and a question is claimed (claims.h). Another
// `sample_number` asks the same question again. `retry` counts the answers to this question that could not be used, so
// that each answer that a run pays for has a key of its own. Calls in flight are joined by another digest
// (CallQuestion::key).
Digest CallKey(const std::string& canonical_identity, const std::string& canonical_request, int64_t sample_number,
               int32_t retry = 0);

}  // namespace millrace
