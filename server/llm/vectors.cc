#include "server/llm/vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "server/storage/answers.h"
#include "server/storage/ledger.h"

namespace millrace {
namespace {

static_assert(std::endian::native == std::endian::little && sizeof(float) == 4, "vectors are copied as they are");

Verdict BadVectors(Remedy remedy, Reason reason, std::string_view message) {
  return {.remedy = remedy, .status = MakeError(reason, message), .text = {}};
}

}  // namespace

std::string PackVector(const std::vector<float>& vector) {
  std::string bytes(vector.size() * sizeof(float), '\0');
  if (!vector.empty()) std::memcpy(bytes.data(), vector.data(), bytes.size());
  return bytes;
}

std::optional<std::vector<float>> UnpackVector(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % sizeof(float) != 0) return std::nullopt;
  std::vector<float> vector(bytes.size() / sizeof(float));
  std::memcpy(vector.data(), bytes.data(), bytes.size());
  return vector;
}

Verdict JudgeVectors(const std::vector<std::vector<float>>& vectors, std::string_view finish_reason,
                     const backend::EmbedRequest& request) {
  if (finish_reason == kTooLarge) {
    return BadVectors(Remedy::kOtherTarget, Reason::kResponseTooLarge, "the answer is larger than the limit of bytes");
  }
  if (finish_reason == kBadResponse) {
    return BadVectors(Remedy::kAgain, Reason::kBadResponse, "the provider's answer is not of its protocol");
  }
  const auto bad = [](std::string message) { return BadVectors(Remedy::kAgain, Reason::kBadResponse, message); };
  if (vectors.size() != request.texts.size()) {
    return bad(fmt::format("the answer has {} vectors for {} texts", vectors.size(), request.texts.size()));
  }
  size_t size = request.dimensions ? static_cast<size_t>(*request.dimensions) : 0;
  for (const std::vector<float>& vector : vectors) {
    if (size == 0) size = vector.size();
    if (vector.empty() || vector.size() != size) {
      return bad(fmt::format("the answer has a vector of {} numbers instead of {}", vector.size(), size));
    }
    if (!std::all_of(vector.begin(), vector.end(), [](float number) { return std::isfinite(number); })) {
      return bad("the answer has a vector with a number that is not finite");
    }
  }
  return {.remedy = Remedy::kNone, .status = absl::OkStatus(), .text = {}};
}

void PutPendingTexts(WriteBatch& batch, const TextBatch& texts, const Digest& batch_key) {
  storage::v1::PendingRecord record;
  record.set_batch_key(std::string(batch_key.bytes()));
  for (const Digest& key : texts.keys) PutPending(batch, key, record);
}

void SettleTexts(WriteBatch& batch, const TextBatch& texts, const CallResult& result, const std::string& run,
                 int64_t first_number) {
  for (const Digest& key : texts.keys) DeletePending(batch, key);
  if (!result.status.ok()) return;
  storage::v1::SettledRecord record;
  record.set_run(run);
  *record.mutable_answer() = result.answer;
  record.mutable_answer()->clear_input_tokens();
  record.mutable_answer()->clear_output_tokens();
  for (size_t i = 0; i < texts.keys.size(); ++i) {
    const int64_t number = first_number + static_cast<int64_t>(i);
    record.set_call_key(std::string(texts.keys[i].bytes()));
    record.mutable_answer()->set_vector(PackVector(result.vectors[i]));
    PutSettled(batch, number, record);
    PutAnswer(batch, texts.keys[i], number);
  }
}

size_t BytesOf(const std::vector<std::vector<float>>& vectors) {
  return vectors.empty() ? 0 : vectors.size() * vectors.front().size() * sizeof(float);
}

}  // namespace millrace
