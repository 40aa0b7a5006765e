#include "backends/openai/failure.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>

#include "server/base/duration.h"
#include "server/base/json.h"

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
    {"model_not_found", Outcome::kRefused, Reason::kRequestRefused},
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
  if (status == 401 || status == 403) return {"", Outcome::kCredentials, Reason::kProviderCredentials};
  if (status == 402) return {"", Outcome::kQuota, Reason::kProviderQuota};
  if (status == 408 || status == 409 || status == 425) return {"", Outcome::kServerError, Reason::kTargetFailed};
  if (status == 429) return {"", Outcome::kRateLimited, Reason::kTargetFailed};
  if (status == 503 || status == 529) return {"", Outcome::kOverloaded, Reason::kTargetFailed};
  if (status >= 500) return {"", Outcome::kServerError, Reason::kTargetFailed};
  if (status >= 400) return {"", Outcome::kRefused, Reason::kRequestRefused};
  return {"", Outcome::kAnsweredBad, Reason::kBadResponse};  // a redirect: the base URL is wrong
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
};

Complaint ReadComplaint(const std::string& body) {
  json::error_code error;
  const json::value value = json::parse(json::string_view(body.data(), body.size()), error);
  Complaint complaint;
  if (error) {
    complaint.message = Excerpt(body, 200);  // for example a proxy's HTML page
    return complaint;
  }
  const json::value* object = FindPath(value, "error");
  if (object == nullptr) object = FindPath(value, "0.error");
  if (object == nullptr) object = &value;  // vLLM before 0.10.1 sends the members at the top level
  complaint.message = object->is_string() ? TextAt(value, "error") : TextAt(*object, "message");
  complaint.type = TextAt(*object, "type");
  complaint.code = TextAt(*object, "code");
  return complaint;
}

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::optional<double> Number(std::string_view text) {
  double number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// Parses an HTTP date (RFC 9110, IMF-fixdate) into seconds since 1970.
std::optional<double> DateSeconds(std::string_view text) {
  tm parts{};
  const std::string date(text);
  const char* const end = ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return static_cast<double>(::timegm(&parts));
}

std::optional<Duration> RetryAfter(const Response& response) {
  std::optional<double> seconds;
  if (const auto millis = Number(HeaderOf(response.headers, "retry-after-ms"))) seconds = *millis / 1000;
  const std::string_view header = HeaderOf(response.headers, "retry-after");
  if (!seconds) seconds = Number(header);
  if (!seconds) {
    // Compare a date with the provider's own clock: ours may differ, and an exchange has none.
    const std::optional<double> then = DateSeconds(header);
    const std::optional<double> now = DateSeconds(HeaderOf(response.headers, "date"));
    if (then && now) seconds = *then - *now;
  }
  if (!seconds || !(*seconds >= 0)) return std::nullopt;
  // This limit only prevents an overflow: the call layer limits the wait (kRetryAfterMax in server/llm/retry.h).
  const double most = std::chrono::duration<double>(kLongestDuration).count();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(*seconds, most)));
}

Meaning MeaningOf(const Response& response, const Complaint& complaint) {
  // A request above the limit per minute can never succeed. vLLM has no code for a prompt that is too long.
  if (response.status == 429 && Has(complaint.message, "Request too large")) {
    return {"", Outcome::kRefused, Reason::kPromptTooLong};
  }
  if (response.status == 400 && Has(complaint.message, "maximum context length")) {
    return {"", Outcome::kRefused, Reason::kPromptTooLong};
  }
  if (const Meaning* meaning = Find(kCodes, complaint.code)) return *meaning;
  if (const Meaning* meaning = Find(kTypes, complaint.type)) return *meaning;
  return OfStatus(response.status);
}

bool MayBeRetried(Outcome outcome) {
  return outcome == Outcome::kRateLimited || outcome == Outcome::kOverloaded || outcome == Outcome::kServerError;
}

}  // namespace

std::string TextAt(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  return found != nullptr && found->is_string() ? std::string(found->get_string().data(), found->get_string().size())
                                                : "";
}

Failure ReadFailure(const Response& response) {
  const Complaint complaint = ReadComplaint(response.body);
  Meaning meaning = MeaningOf(response, complaint);
  const std::string_view should_retry = HeaderOf(response.headers, "x-should-retry");
  if (should_retry == "true" && meaning.outcome == Outcome::kRefused) {
    meaning = {"", Outcome::kServerError, Reason::kTargetFailed};
  } else if (should_retry == "false" && MayBeRetried(meaning.outcome)) {
    meaning = {"", Outcome::kRefused, Reason::kRequestRefused};
  }
  Failure failure;
  failure.outcome = meaning.outcome;
  failure.reason = meaning.reason;
  failure.http_status = response.status;
  failure.retry_after = RetryAfter(response);
  failure.message = fmt::format("HTTP {}", response.status);
  for (const std::string* part : {&complaint.type, &complaint.code}) {
    if (!part->empty()) failure.message += fmt::format(", {}", Excerpt(*part));
  }
  if (!complaint.message.empty()) failure.message += fmt::format(": {}", Excerpt(complaint.message, 512));
  return failure;
}

}  // namespace millrace::backend::openai
