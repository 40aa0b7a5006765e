// Vectors of texts: how they are judged, stored and settled. docs/formats.md has the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/digest.h"
#include "server/llm/call.h"
#include "server/llm/progress.h"
#include "server/llm/validate.h"
#include "server/storage/store.h"

namespace millrace {

// Returns 4 bytes for each number: IEEE 754 binary32, little-endian.
std::string PackVector(const std::vector<float>& vector);
// Returns the numbers; nullopt if the bytes are not those of at least one number.
std::optional<std::vector<float>> UnpackVector(std::string_view bytes);

// Judges the vectors of a batch. They can be used if they are as many as the texts, not empty, of one size (the one
// that was asked for, if any), and finite. Another attempt may cure everything else but an answer that was too large.
Verdict JudgeVectors(const std::vector<std::vector<float>>& vectors, std::string_view finish_reason,
                     const backend::EmbedRequest& request);

// Moment (a) of a batch: lets whoever asks for one of its texts find the attempt, which is pending under `batch_key`.
void PutPendingTexts(WriteBatch& batch, const TextBatch& texts, const Digest& batch_key);
// Moment (c): deletes these entries, and puts a record with the vector of each text, if there are any. The records get
// numbers from `first_number`, as many as texts.
void SettleTexts(WriteBatch& batch, const TextBatch& texts, const CallResult& result, const std::string& run,
                 int64_t first_number);

// Returns the size of vectors in memory.
size_t BytesOf(const std::vector<std::vector<float>>& vectors);

}  // namespace millrace
