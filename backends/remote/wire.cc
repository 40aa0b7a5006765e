#include "backends/remote/wire.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "backends/sdk/retry_after.h"
#include "millrace/backend/v1/backend_service.pb.h"
#include "server/base/status.h"

namespace millrace::backend::remote {
namespace {

constexpr size_t kPrefixBytes = 5;
constexpr int64_t kCountMax = 1'000'000'000'000;

// Parses a message. Protobuf alone would also print a line for each text that is not UTF-8.
template <typename Message>
bool Parse(const std::string& bytes, Message& message) {
  const google::protobuf::LogSilencer quiet;
  return message.ParseFromString(bytes);
}

std::optional<int64_t> Count(bool is_set, int64_t count) {
  if (!is_set || count < 0 || count > kCountMax) return std::nullopt;
  return count;
}

std::optional<FinishReason> FinishReasonOf(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP:
      return FinishReason::kStop;
    case v1::FINISH_REASON_LENGTH:
      return FinishReason::kLength;
    case v1::FINISH_REASON_CONTENT_FILTER:
      return FinishReason::kContentFilter;
    case v1::FINISH_REASON_REFUSAL:
      return FinishReason::kRefusal;
    default:
      return std::nullopt;
  }
}

Failure FailureOf(const v1::Failure& reported) {
  Failure failure;
  failure.reason = Reason::kTargetFailed;
  failure.http_status = 200;
  switch (reported.failure_class()) {
    case v1::FAILURE_CLASS_REFUSED:
      failure.outcome = Outcome::kRefused;
      failure.reason = Reason::kRequestRefused;
      break;
    case v1::FAILURE_CLASS_RATE_LIMITED:
      failure.outcome = Outcome::kRateLimited;
      break;
    case v1::FAILURE_CLASS_OVERLOADED:
      failure.outcome = Outcome::kOverloaded;
      break;
    case v1::FAILURE_CLASS_SERVER_ERROR:
      failure.outcome = Outcome::kServerError;
      break;
    case v1::FAILURE_CLASS_CREDENTIALS:
      failure.outcome = Outcome::kCredentials;
      failure.reason = Reason::kProviderCredentials;
      break;
    case v1::FAILURE_CLASS_QUOTA:
      failure.outcome = Outcome::kQuota;
      failure.reason = Reason::kProviderQuota;
      break;
    case v1::FAILURE_CLASS_NO_MODEL:
      failure.outcome = Outcome::kNoModel;
      failure.reason = Reason::kProviderModel;
      break;
    default:
      return BadResponse("the backend reports a failure of no known class: " + Excerpt(reported.message(), 512));
  }
  failure.message = reported.message().empty() ? "the backend reports a failure" : Excerpt(reported.message(), 512);
  if (reported.has_retry_after()) {
    const int64_t seconds = std::clamp<int64_t>(reported.retry_after().seconds(), 0, 86400);
    const int64_t nanos = std::clamp<int64_t>(reported.retry_after().nanos(), 0, 999'999'999);
    failure.retry_after =
        std::min<Duration>(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos), kRetryAfterHeaderMax);
  }
  return failure;
}

}  // namespace

std::string GenerateMessage(const Request& request) {
  v1::GenerateRequest message;
  message.set_model(request.model);
  for (const Message& part : request.messages) {
    v1::Message& added = *message.add_messages();
    added.set_role(part.role);
    added.set_content(part.content);
  }
  message.set_output_schema(request.output_schema);
  message.set_max_tokens(request.max_tokens);
  if (request.temperature) message.set_temperature(*request.temperature);
  if (request.top_p) message.set_top_p(*request.top_p);
  if (request.seed) message.set_seed(*request.seed);
  message.set_sample_number(request.sample_number);
  message.set_wants_deltas(request.wants_deltas);
  return message.SerializeAsString();
}

std::string EmbedMessage(const EmbedRequest& request) {
  v1::EmbedRequest message;
  message.set_model(request.model);
  for (const std::string& text : request.texts) message.add_texts(text);
  if (request.dimensions) message.set_dimensions(*request.dimensions);
  return message.SerializeAsString();
}

void Frames::Add(std::string_view bytes) {
  if (is_bad_) return;
  bytes_.erase(0, at_);
  at_ = 0;
  bytes_ += bytes;
}

std::optional<std::string> Frames::Next() {
  if (is_bad_ || at_ == bytes_.size()) return std::nullopt;
  is_bad_ = bytes_[at_] != '\0';  // 1 is a compressed message, which gRPC has expanded
  if (is_bad_ || bytes_.size() - at_ < kPrefixBytes) return std::nullopt;
  size_t size = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) size = size << 8 | static_cast<unsigned char>(bytes_[at_ + i]);
  if (bytes_.size() - at_ - kPrefixBytes < size) return std::nullopt;
  std::string message = bytes_.substr(at_ + kPrefixBytes, size);
  at_ += kPrefixBytes + size;
  return message;
}

Meaning ReadGenerate(const std::string& message) {
  v1::GenerateResponse response;
  if (!Parse(message, response)) return BadResponse("a message of the answer can't be read");
  switch (response.event_case()) {
    case v1::GenerateResponse::kDelta:
      return Delta{std::move(*response.mutable_delta())};
    case v1::GenerateResponse::kFailure:
      return FailureOf(response.failure());
    case v1::GenerateResponse::kCompletion:
      break;
    case v1::GenerateResponse::EVENT_NOT_SET:
      return BadResponse("a message of the answer has no event");
  }
  v1::Completion& completion = *response.mutable_completion();
  const std::optional<FinishReason> reason = FinishReasonOf(completion.finish_reason());
  if (!reason) {
    return BadResponse(
        fmt::format("the answer ends with an unknown reason, {}", static_cast<int>(completion.finish_reason())));
  }
  Reported reported;
  reported.answer.text = std::move(*completion.mutable_text());
  reported.answer.finish_reason = *reason;
  reported.answer.input_tokens = Count(completion.has_input_tokens(), completion.input_tokens());
  reported.answer.output_tokens = Count(completion.has_output_tokens(), completion.output_tokens());
  reported.answer.reported_model = std::move(*completion.mutable_model());
  reported.answer_version = std::move(*completion.mutable_answer_version());
  return reported;
}

Meaning ReadEmbed(const std::string& message, size_t texts, std::optional<int32_t> dimensions) {
  v1::EmbedResponse response;
  if (!Parse(message, response)) return BadResponse("the answer can't be read");
  if (response.has_failure()) return FailureOf(response.failure());
  if (static_cast<size_t>(response.embeddings_size()) != texts) {
    return BadResponse(fmt::format("the answer has {} vectors for {} texts", response.embeddings_size(), texts));
  }
  Reported reported;
  int size = dimensions.value_or(0);
  for (const v1::Embedding& embedding : response.embeddings()) {
    if (size == 0) size = embedding.numbers_size();
    if (size == 0) return BadResponse("a vector has no numbers");
    if (embedding.numbers_size() != size) {
      return BadResponse(fmt::format("a vector has {} numbers instead of {}", embedding.numbers_size(), size));
    }
    const std::vector<float>& vector =
        reported.answer.vectors.emplace_back(embedding.numbers().begin(), embedding.numbers().end());
    if (!std::all_of(vector.begin(), vector.end(), [](float number) { return std::isfinite(number); })) {
      return BadResponse("a vector has a number that is not finite");
    }
  }
  reported.answer.input_tokens = Count(response.has_input_tokens(), response.input_tokens());
  reported.answer.reported_model = std::move(*response.mutable_model());
  reported.answer_version = std::move(*response.mutable_answer_version());
  return reported;
}

std::optional<Description> ReadDescription(const std::string& message) {
  v1::DescribeResponse response;
  if (!Parse(message, response)) return std::nullopt;
  return Description{.name = response.name(),
                     .answer_version = response.answer_version(),
                     .models = {response.models().begin(), response.models().end()}};
}

Failure BadResponse(std::string message) {
  return {.outcome = Outcome::kAnsweredBad,
          .reason = Reason::kBadResponse,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = 200};
}

}  // namespace millrace::backend::remote
