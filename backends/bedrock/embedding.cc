#include "backends/bedrock/embedding.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "backends/bedrock/failure.h"
#include "backends/sdk/reply_json.h"
#include "server/base/json.h"

namespace millrace::backend::bedrock {
namespace {

// Requests that the models of one family take.
struct Family {
  std::string_view name;  // a part of the model's id
  bool is_titan;
  size_t texts_max;
  std::string_view dimensions_member;  // empty: the size of the vectors is fixed
};

// Longer names first: the first match counts.
constexpr Family kFamilies[] = {
    {"amazon.titan-embed-text-v2", true, 1, "dimensions"},
    {"amazon.titan-embed-text-v1", true, 1, ""},
    {"amazon.titan-embed-g1-text", true, 1, ""},
    {"cohere.embed-v4", false, 96, "output_dimension"},
    {"cohere.embed-", false, 96, ""},
};

const Family* FamilyOf(std::string_view model) {
  for (const Family& family : kFamilies) {
    if (model.find(family.name) != std::string_view::npos) return &family;
  }
  return nullptr;
}

StatusOr<std::string> BodyOf(const EmbedRequest& request, const Family* family) {
  if (family == nullptr) {
    return RefuseQuestion(
        fmt::format("`{}` is not an embedding model that this backend knows (Amazon Titan text, Cohere)",
                    Excerpt(request.model, 256)));
  }
  if (request.texts.empty() || request.texts.size() > family->texts_max) {
    return RefuseQuestion(fmt::format("`{}` embeds 1 to {} texts in a request, not {}", Excerpt(request.model, 256),
                                      family->texts_max, request.texts.size()));
  }
  json::object body;
  if (family->is_titan) {
    body["inputText"] = request.texts[0];
  } else {
    json::array texts;
    for (const std::string& text : request.texts) texts.push_back(json::value(text));
    body["texts"] = std::move(texts);
    // Texts that are compared with each other all have one type. A text that is too long is an error, not cut.
    body["input_type"] = "search_document";
    body["truncate"] = "NONE";
    body["embedding_types"] = {"float"};
  }
  if (request.dimensions) {
    if (family->dimensions_member.empty()) {
      return RefuseQuestion(
          fmt::format("the vectors of `{}` have a fixed size: leave `dimensions` out", Excerpt(request.model, 256)));
    }
    body[std::string(family->dimensions_member)] = *request.dimensions;
  }
  return json::serialize(body);
}

// Reads one vector. Returns false if it is not a list of finite numbers, or is empty.
bool ReadVector(const json::value& value, std::vector<float>& vector) {
  if (!value.is_array()) return false;
  for (const json::value& number : value.get_array()) {
    if (!number.is_number()) return false;
    vector.push_back(number.to_number<float>());
    if (!std::isfinite(vector.back())) return false;
  }
  return !vector.empty();
}

// Returns the lists that the vectors are in: an array of arrays.
const json::value* VectorsIn(const json::value& body) {
  const json::value* vectors = FindPath(body, "embeddings");
  if (vectors != nullptr && vectors->is_object()) vectors = FindPath(*vectors, "float");
  return vectors;
}

std::optional<int64_t> TokensIn(const json::value& body, const Headers& headers) {
  if (const auto tokens = CountAt(body, "inputTextTokenCount")) return tokens;
  const std::string_view header = HeaderOf(headers, kInputTokensHeader);
  return header.empty() ? std::nullopt : CountAt(json::array{ParseReply(header).value_or(json::value())}, "0");
}

class EmbeddingExchange final : public WholeBodyExchange {
 public:
  EmbeddingExchange(SendHttp send, const Family& family, const EmbedRequest& request)
      : WholeBodyExchange(std::move(send)),
        family_(family),
        texts_(request.texts.size()),
        dimensions_(request.dimensions) {}

 private:
  Action Read(Response response) const override {
    if (response.status < 200 || response.status >= 300) return Fail{ReadFailure(response)};
    const auto bad = [&](std::string message) { return Fail{BadResponse(std::move(message), response.status)}; };
    const StatusOr<json::value> body = ParseReply(response.body);
    if (!body.ok())
      return bad(fmt::format("the response can't be read: {}", std::string_view(MessageOf(body.status()))));
    Answer answer;
    if (family_.is_titan) {
      const json::value* vector = FindPath(*body, "embedding");
      if (vector == nullptr) vector = FindPath(*body, "embeddingsByType.float");
      if (vector == nullptr || !ReadVector(*vector, answer.vectors.emplace_back())) {
        return bad("the response has no vector: " + Excerpt(response.body, 200));
      }
    } else {
      const json::value* vectors = VectorsIn(*body);
      if (vectors == nullptr || !vectors->is_array()) {
        return bad("the response has no vectors: " + Excerpt(response.body, 200));
      }
      for (const json::value& vector : vectors->get_array()) {
        if (!ReadVector(vector, answer.vectors.emplace_back())) return bad("the response has a vector without numbers");
      }
    }
    if (answer.vectors.size() != texts_) {
      return bad(fmt::format("the response has {} vectors for {} texts", answer.vectors.size(), texts_));
    }
    const size_t size = dimensions_ ? static_cast<size_t>(*dimensions_) : answer.vectors[0].size();
    for (const std::vector<float>& vector : answer.vectors) {
      if (vector.size() != size) {
        return bad(fmt::format("the response has a vector of {} numbers instead of {}", vector.size(), size));
      }
    }
    answer.input_tokens = TokensIn(*body, response.headers);
    return Done{std::move(answer)};
  }

  const Family& family_;
  const size_t texts_;
  const std::optional<int32_t> dimensions_;
};

}  // namespace

int32_t TextsMax(std::string_view model) {
  const Family* family = FamilyOf(model);
  return family == nullptr ? 0 : static_cast<int32_t>(family->texts_max);
}

std::unique_ptr<Exchange> StartEmbedding(const EmbedRequest& request, SendHttp send) {
  const Family* family = FamilyOf(request.model);
  StatusOr<std::string> body = BodyOf(request, family);
  if (!body.ok()) return FailedExchange(NotAsked(body.status()));
  send.body = *std::move(body);
  send.headers.emplace_back("Accept", "application/json");
  return std::make_unique<EmbeddingExchange>(std::move(send), *family, request);
}

}  // namespace millrace::backend::bedrock
