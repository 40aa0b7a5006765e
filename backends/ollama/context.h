// Sizes of prompts in tokens, without a tokenizer: bounds that hold for the tokenizers of all common models. The upper
// bound chooses `num_ctx`, the lower bound recognises a prompt that the server cut without a word.
#pragma once

#include <cstdint>
#include <string_view>

#include "backends/sdk/backend.h"

namespace millrace::backend::ollama {

// Returns a number of tokens that a text hardly exceeds: one for 2.5 bytes of ASCII, two for a character of another
// script. English has about four bytes a token, code and German about three, base64 two.
int64_t TokensAtMost(std::string_view text);

// Returns a number of tokens that a text has at least: one for each word between blanks, because tokens do not span
// blanks, and one for 16 bytes of a script without blanks.
int64_t TokensAtLeast(std::string_view text);

// Return the sums for all messages of a question. The upper bound includes the tokens of the model's template. The
// lower bound leaves out answers of the model that hold thoughts, because the server does, too.
int64_t PromptTokensAtMost(const Request& request);
int64_t PromptTokensAtLeast(const Request& request);

// Returns the smallest size of context that has room for `tokens`: a power of two, at least kContextMin. Few sizes,
// because the server loads a model again for each.
int64_t ContextFor(int64_t tokens);

inline constexpr int64_t kContextMin = 4096;  // the server's own default without a large GPU

}  // namespace millrace::backend::ollama
