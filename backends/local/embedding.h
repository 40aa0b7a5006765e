// Embedding without a model, by feature hashing (Weinberger et al., "Feature hashing for large scale multitask
// learning", 2009): it measures shared words and word parts, and knows nothing of meaning.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace millrace::backend {

// Size of the vectors unless a request says another.
inline constexpr int32_t kDimensionsDefault = 256;

// Returns a vector of length 1 with `dimensions` numbers, the same on every machine. Its features are the words of the
// text (runs of letters, digits and bytes above 127, ASCII in lower case) and, with half their weight, the three-byte
// parts of each word with a mark at either end. The weight of a feature is 1 + ln(count); the FNV-1a hash of its bytes
// chooses its place and sign. A text without words is one feature. REQUIRES: dimensions > 0.
std::vector<float> EmbedText(std::string_view text, int32_t dimensions);

}  // namespace millrace::backend
