// Embeddings by InvokeModel, whose body and answer are the model's own: Amazon Titan and Cohere.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"
#include "server/base/status.h"

namespace millrace::backend::bedrock {

// Header with the number of input tokens, which Cohere's answers lack.
inline constexpr std::string_view kInputTokensHeader = "x-amzn-bedrock-input-token-count";

// Returns how many texts the model takes in one request: one for Titan, 96 for Cohere; 0 if it is not a known embedding
// model.
int32_t TextsMax(std::string_view model);

// Returns the exchange that sends `send`, to which it adds the body, and reads the vectors. Fails the question with
// REQUEST_REFUSED if its model is not a known embedding model, or if it has more texts than TextsMax.
std::unique_ptr<Exchange> StartEmbedding(const EmbedRequest& request, SendHttp send);

}  // namespace millrace::backend::bedrock
