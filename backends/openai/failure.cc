#include "backends/openai/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "backends/openai/endpoint.h"
#include "backends/sdk/http_call.h"
#include "backends/sdk/reply_json.h"
#include "backends/sdk/retry_after.h"
#include "backends/sdk/status_meaning.h"
#include "server/base/status.h"

namespace millrace::backend::openai {
namespace {

struct Meaning {
  std::string_view name;  // code or type in the error
  Outcome outcome;
  Reason reason;
};

constexpr Meaning kCodes[] = {
    {"context_length_exceeded", Outcome::kRefused, Reason::kPromptTooLong},
    {"string_above_max_length", Outcome::kRefused, Reason::kPromptTooLong},
    {"content_filter", Outcome::kRefused, Reason::kContentFilter},
    {"content_policy_violation", Outcome::kRefused, Reason::kContentFilter},
    {"model_not_found", Outcome::kNoModel, Reason::kProviderModel},
    {"DeploymentNotFound", Outcome::kNoModel, Reason::kProviderModel},  // Azure
    {"unsupported_parameter", Outcome::kRefused, Reason::kRequestRefused},
    {"unsupported_value", Outcome::kRefused, Reason::kRequestRefused},
    {"invalid_json_schema", Outcome::kRefused, Reason::kRequestRefused},
    {"invalid_api_key", Outcome::kCredentials, Reason::kProviderCredentials},
    {"account_deactivated", Outcome::kCredentials, Reason::kProviderCredentials},
    {"insufficient_quota", Outcome::kQuota, Reason::kProviderQuota},
    {"credit_balance_exhausted", Outcome::kQuota, Reason::kProviderQuota},
    {"billing_hard_limit_reached", Outcome::kQuota, Reason::kProviderQuota},
    {"billing_not_active", Outcome::kQuota, Reason::kProviderQuota},
    {"organization_spend_limit_exceeded", Outcome::kQuota, Reason::kProviderQuota},
    {"project_spend_limit_exceeded", Outcome::kQuota, Reason::kProviderQuota},
    {"organization_usage_limit_exceeded", Outcome::kQuota, Reason::kProviderQuota},
    {"server_is_overloaded", Outcome::kOverloaded, Reason::kTargetFailed},
    {"rate_limit_exceeded", Outcome::kRateLimited, Reason::kTargetFailed},
};

constexpr Meaning kTypes[] = {
    {"insufficient_quota", Outcome::kQuota, Reason::kProviderQuota},
    {"exceed_context_size_error", Outcome::kRefused, Reason::kPromptTooLong},  // llama.cpp
    {"authentication_error", Outcome::kCredentials, Reason::kProviderCredentials},
    {"unavailable_error", Outcome::kOverloaded, Reason::kTargetFailed},  // llama.cpp while it loads a model
    {"service_unavailable_error", Outcome::kOverloaded, Reason::kTargetFailed},
    {"overloaded_error", Outcome::kOverloaded, Reason::kTargetFailed},
    {"rate_limit_error", Outcome::kRateLimited, Reason::kTargetFailed},
};

Meaning OfStatus(int status) {
  const StatusMeaning meaning = MeaningOfStatus(status);
  return {"", meaning.outcome, meaning.reason};
}

template <size_t size>
const Meaning* Find(const Meaning (&table)[size], std::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [&](const Meaning& row) { return row.name == name; });
  return found == std::end(table) ? nullptr : found;
}

// The error in a body. `code` may be a text, a number or null.
struct Complaint {
  std::string message;
  std::string type;
  std::string code;
  std::optional<int64_t> number;
};

Complaint ReadComplaint(std::string_view body) {
  const auto value = ParseReply(body);
  Complaint complaint;
  if (!value.ok()) {
    complaint.message = Excerpt(body, 200);  // for example a proxy's HTML page
    return complaint;
  }
  const json::value* object = FindPath(*value, "error");
  if (object == nullptr) object = FindPath(*value, "0.error");
  if (object == nullptr) object = &*value;  // vLLM before 0.10.1 sends the members at the top level
  complaint.message = object->is_string() ? TextAt(*value, "error") : TextAt(*object, "message");
  complaint.type = TextAt(*object, "type");
  complaint.code = TextAt(*object, "code");
  complaint.number = CountAt(*object, "code");
  if (complaint.message.empty() && complaint.code.empty() && !body.empty()) complaint.message = Excerpt(body, 200);
  return complaint;
}

constexpr std::string_view kUnexpectedPath = "Unexpected endpoint or method";

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Returns the status by which an error is classified: an error in a response with status 2xx has its own or is a server
// error.
int StatusOf(const Head& head, const Complaint& complaint) {
  if (!IsSuccess(head.status)) return head.status;
  const int64_t number = complaint.number.value_or(0);
  return number >= 400 && number <= 599 ? static_cast<int>(number) : 500;
}

Meaning MeaningOf(int status, const Complaint& complaint) {
  // A request above the limit per minute can never succeed. vLLM has no code for a prompt that is too long.
  if (status == 429 && Has(complaint.message, "Request too large")) {
    return {"", Outcome::kRefused, Reason::kPromptTooLong};
  }
  if (status == 400 && Has(complaint.message, "maximum context length")) {
    return {"", Outcome::kRefused, Reason::kPromptTooLong};
  }
  // llama.cpp takes a text that it can't embed for its own fault (500).
  if (Has(complaint.message, "is too large to process")) return {"", Outcome::kRefused, Reason::kPromptTooLong};
  // LM Studio answers so with status 200 at a path that it does not know.
  if (complaint.message.starts_with(kUnexpectedPath)) return {"", Outcome::kNoModel, Reason::kProviderModel};
  if (const Meaning* meaning = Find(kCodes, complaint.code)) return *meaning;
  if (const Meaning* meaning = Find(kTypes, complaint.type)) return *meaning;
  return OfStatus(status);
}

// Returns true if the server does not know the path of the request. A server that does not know the model names it.
bool IsUnknownPath(int status, const Complaint& complaint) {
  if (complaint.message.starts_with(kUnexpectedPath)) return true;
  if (status != 404 && status != 405) return false;
  std::string lower = complaint.message;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return Find(kCodes, complaint.code) == nullptr && !Has(lower, "model") && !Has(lower, "deployment");
}

// Appends the request's id, by which the provider finds it.
void AppendRequestId(const Head& head, std::string& message) {
  const std::string_view id = HeaderOf(head.headers, kRequestId);
  if (!id.empty()) message += fmt::format(" (request {})", Excerpt(id));
}

}  // namespace

bool MayBeRetried(Outcome outcome) {
  return outcome == Outcome::kRateLimited || outcome == Outcome::kOverloaded || outcome == Outcome::kServerError;
}

Failure ReadFailure(const v1::OpenaiBackend& config, const Head& head, std::string_view body) {
  const Complaint complaint = ReadComplaint(body);
  Meaning meaning = MeaningOf(StatusOf(head, complaint), complaint);
  const std::string_view should_retry = HeaderOf(head.headers, "x-should-retry");
  if (should_retry == "true" && meaning.outcome == Outcome::kRefused) {
    meaning = {"", Outcome::kServerError, Reason::kTargetFailed};
  } else if (should_retry == "false" && MayBeRetried(meaning.outcome)) {
    meaning = {"", Outcome::kRefused, Reason::kRequestRefused};
  }
  Failure failure;
  failure.outcome = meaning.outcome;
  failure.reason = meaning.reason;
  failure.http_status = head.status;
  failure.retry_after = RetryAfterOf(head.headers);
  failure.message = fmt::format("HTTP {}", head.status);
  for (const std::string* part : {&complaint.type, &complaint.code}) {
    if (!part->empty()) failure.message += fmt::format(", {}", Excerpt(*part));
  }
  if (!complaint.message.empty()) failure.message += fmt::format(": {}", Excerpt(complaint.message, 512));
  AppendRequestId(head, failure.message);
  if (IsUnknownPath(head.status, complaint)) failure.message += "; " + UrlAdvice(config);
  return failure;
}

Failure BadAnswer(const Head& head, std::string_view message) {
  Failure failure;
  failure.outcome = Outcome::kAnsweredBad;
  failure.reason = Reason::kBadResponse;
  failure.http_status = head.status;
  failure.message = message;
  AppendRequestId(head, failure.message);
  return failure;
}

Failure NotJson(const v1::OpenaiBackend& config, const Head& head, std::string_view body, const Status& error) {
  const bool is_page = body.substr(0, 64).find('<') != std::string_view::npos;
  const std::string advice = is_page ? "; " + UrlAdvice(config) : "";
  return BadAnswer(head, fmt::format("the answer is {}: {}{}", MessageOf(error), Excerpt(body), advice));
}

}  // namespace millrace::backend::openai
