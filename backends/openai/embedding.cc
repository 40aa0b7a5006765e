#include "backends/openai/embedding.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>

#include <bit>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <utility>

#include "backends/openai/completion.h"
#include "backends/openai/failure.h"
#include "backends/sdk/reply_json.h"
#include "backends/sdk/status_meaning.h"

namespace millrace::backend::openai {
namespace {

static_assert(std::endian::native == std::endian::little, "base64 vectors are copied as they are");

Status Wrong(std::string_view what) { return MakeError(Reason::kBadResponse, what); }

StatusOr<std::vector<float>> FromBase64(const json::string& text) {
  std::string bytes;
  if (!absl::Base64Unescape(absl::string_view(text.data(), text.size()), &bytes) || bytes.size() % sizeof(float) != 0) {
    return Wrong("a vector is not base64 of 32-bit numbers");
  }
  std::vector<float> vector(bytes.size() / sizeof(float));
  if (!vector.empty()) std::memcpy(vector.data(), bytes.data(), bytes.size());
  return vector;
}

StatusOr<std::vector<float>> VectorOf(const json::value* embedding) {
  std::vector<float> vector;
  if (embedding != nullptr && embedding->is_string()) {
    MR_ASSIGN_OR_RETURN(vector, FromBase64(embedding->get_string()));
  } else if (embedding != nullptr && embedding->is_array()) {
    vector.reserve(embedding->get_array().size());
    for (const json::value& number : embedding->get_array()) {
      if (!number.is_number()) return Wrong("a vector has an element that is not a number");
      vector.push_back(static_cast<float>(number.to_number<double>()));
    }
  }
  if (vector.empty()) return Wrong("an entry has no vector");
  for (const float number : vector) {
    if (!std::isfinite(number)) return Wrong("a vector has a number that is not finite");
  }
  return vector;
}

StatusOr<std::vector<std::vector<float>>> VectorsOf(const json::value& response, const VectorsWanted& wanted) {
  const json::value* data = FindPath(response, "data");
  if (data == nullptr || !data->is_array()) return Wrong("the answer has no vectors");
  const json::array& entries = data->get_array();
  if (entries.size() != wanted.count) {
    return Wrong(fmt::format("the answer has {} vectors for {} texts", entries.size(), wanted.count));
  }
  // Without any index, the order of the entries is that of the texts.
  const bool has_index = !entries.empty() && FindPath(entries[0], "index") != nullptr;
  size_t size = wanted.dimensions ? static_cast<size_t>(*wanted.dimensions) : 0;
  std::vector<std::vector<float>> vectors(wanted.count);
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto index = has_index ? CountAt(entries[i], "index") : static_cast<int64_t>(i);
    if (!index || static_cast<size_t>(*index) >= wanted.count || !vectors[static_cast<size_t>(*index)].empty()) {
      return Wrong("the indexes of the vectors are not those of the texts");
    }
    MR_ASSIGN_OR_RETURN(std::vector<float> vector, VectorOf(FindPath(entries[i], "embedding")));
    if (size == 0) size = vector.size();
    if (vector.size() != size) return Wrong(fmt::format("a vector has {} numbers instead of {}", vector.size(), size));
    vectors[static_cast<size_t>(*index)] = std::move(vector);
  }
  return vectors;
}

}  // namespace

Action ReadVectors(const v1::OpenaiBackend& config, const VectorsWanted& wanted, const Head& head,
                   std::string_view body) {
  if (!IsSuccess(head.status)) return Fail{ReadFailure(config, head, body)};
  const auto value = ParseReply(body);
  if (!value.ok()) return Fail{NotJson(config, head, body, value.status())};
  if (HasError(*value)) return Fail{ReadFailure(config, head, body)};
  StatusOr<std::vector<std::vector<float>>> vectors = VectorsOf(*value, wanted);
  if (!vectors.ok()) return Fail{BadAnswer(head, std::string(MessageOf(vectors.status())))};
  Answer answer;
  answer.vectors = *std::move(vectors);
  answer.input_tokens = CountAt(*value, "usage.prompt_tokens");
  answer.reported_model = TextAt(*value, "model");
  return Done{std::move(answer)};
}

}  // namespace millrace::backend::openai
