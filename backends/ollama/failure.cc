#include "backends/ollama/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>

#include "backends/sdk/reply_json.h"
#include "backends/sdk/retry_after.h"
#include "backends/sdk/status_meaning.h"
#include "server/base/json.h"

namespace millrace::backend::ollama {
namespace {

constexpr size_t kQuotedBytesMax = 512;

using Meaning = StatusMeaning;

constexpr Meaning kTooLong{Outcome::kRefused, Reason::kPromptTooLong};
constexpr Meaning kRefusedRequest{Outcome::kRefused, Reason::kRequestRefused};
constexpr Meaning kBusy{Outcome::kOverloaded, Reason::kTargetFailed};
constexpr Meaning kBroken{Outcome::kServerError, Reason::kTargetFailed};

// Parts of texts in lower case, the first that fits decides.
struct Phrase {
  std::string_view part;
  Meaning meaning;
};

constexpr Phrase kPhrases[] = {
    {"exceed_context_size_error", kTooLong},  // llama-server inside the server
    {"exceeds the available context", kTooLong},
    {"exceeds the context length", kTooLong},
    {"exceeds maximum context length", kTooLong},
    {"server busy", kBusy},
    {"maximum pending requests exceeded", kBusy},
    {"out of memory", kBroken},
    {"requires more system memory", kBroken},
    {"runner has unexpectedly stopped", kBroken},
    {"runner process", kBroken},
    {"must be of type", kRefusedRequest},  // a wrong option, with status 500
    {"must be of an array", kRefusedRequest},
    {"invalid format", kRefusedRequest},  // with status 500
    {"invalid json schema", kRefusedRequest},
    {"does not support", kRefusedRequest},
};

Meaning MeaningOf(int status, std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const Phrase& phrase : kPhrases) {
    if (lower.find(phrase.part) != std::string::npos) return phrase.meaning;
  }
  return status == 499 ? kBroken : MeaningOfStatus(status);  // 499: the server ended the request
}

// Returns the text of an error, which is a text or an object, and whose text may be the JSON of the server inside the
// server: {"error":{"message":…,"type":…}}.
std::string TextOf(const json::value& error, int depth = 0) {
  constexpr int kDepthMax = 4;
  if (depth == kDepthMax) return "";
  if (error.is_string()) {
    const std::string_view text(error.get_string().data(), error.get_string().size());
    const StatusOr<json::value> inner = ParseReply(text);
    if (!inner.ok() || !inner->is_object()) return std::string(text);
    const std::string said = TextOf(*inner, depth + 1);
    return said.empty() ? std::string(text) : said;
  }
  if (const json::value* inner = FindPath(error, "error")) return TextOf(*inner, depth + 1);
  const std::string type = TextAt(error, "type");
  const std::string message = TextAt(error, "message");
  return type.empty() || message.empty() ? type + message : fmt::format("{}: {}", type, message);
}

// Returns the advice that a person needs; empty if the server's own text says enough.
std::string AdviceOf(int status, std::string_view text, const std::string& model) {
  const bool names_model = text.find("model") != std::string_view::npos;
  if (status == 404 && names_model && text.find("not found") != std::string_view::npos) {
    return fmt::format("run `ollama pull {}` on its machine", Excerpt(model, 256));
  }
  if (status == 404 || status == 405) return "base_url is not that of an Ollama server";
  if (status == 403 && text.empty()) {
    return "the server refuses this host name; write an IP address or localhost into base_url, or set OLLAMA_HOST "
           "there";
  }
  if (status >= 300 && status < 400) return "the server redirects, which is not followed; correct base_url";
  return "";
}

Failure FailureOf(int status, std::string_view text, const std::string& model) {
  const Meaning meaning = MeaningOf(status, text);
  Failure failure{.outcome = meaning.outcome,
                  .reason = meaning.reason,
                  .message = fmt::format("HTTP {}", status),
                  .retry_after = std::nullopt,
                  .http_status = status};
  if (!text.empty()) failure.message += fmt::format(": {}", Excerpt(text, kQuotedBytesMax));
  const std::string advice = AdviceOf(status, text, model);
  if (!advice.empty()) failure.message += fmt::format("; {}", advice);
  return failure;
}

}  // namespace

Failure ReadFailure(const Response& response, const std::string& model) {
  const StatusOr<json::value> value = ParseReply(response.body);
  // A body that is not JSON is that of a proxy, or of a path that the server does not know.
  const std::string text = value.ok() && value->is_object() ? TextOf(*value) : response.body;
  Failure failure = FailureOf(response.status, text, model);
  failure.retry_after = RetryAfterOf(response.headers);  // of a proxy: Ollama sends none
  return failure;
}

Failure ReadErrorLine(const json::value& line, const json::value& error, const std::string& model) {
  constexpr int kStatusOfStream = 500;
  const json::value* status = FindPath(line, "status");
  const bool has_status =
      status != nullptr && status->is_int64() && status->get_int64() >= 400 && status->get_int64() < 600;
  std::string text = TextOf(error);
  if (text.empty()) text = json::serialize(error);
  return FailureOf(has_status ? static_cast<int>(status->get_int64()) : kStatusOfStream, text, model);
}

Failure BadResponse(int status, std::string message) {
  return {.outcome = Outcome::kAnsweredBad,
          .reason = Reason::kBadResponse,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = status};
}

Failure CutStream(int status, std::string message) {
  return {.outcome = Outcome::kPartial,
          .reason = Reason::kTargetFailed,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = status};
}

Failure PromptTooLong(int status, std::string message) {
  return {.outcome = Outcome::kRefused,
          .reason = Reason::kPromptTooLong,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = status};
}

}  // namespace millrace::backend::ollama
