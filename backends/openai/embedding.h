// Parser of the response to an embeddings request.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"

namespace millrace::backend::openai {

// Number of vectors that a request asks for, and their size if it asks for one.
struct VectorsWanted {
  size_t count = 0;
  std::optional<int32_t> dimensions;
};

// Returns Done with the vectors in the order of the texts, or Fail. Vectors may be numbers or base64, whichever was
// requested. BAD_RESPONSE if they are not as many as the texts, of one size and finite.
Action ReadVectors(const v1::OpenaiBackend& config, const VectorsWanted& wanted, const Head& head,
                   std::string_view body);

}  // namespace millrace::backend::openai
