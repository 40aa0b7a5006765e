#include "backends/bedrock/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "backends/sdk/reply_json.h"
#include "backends/sdk/retry_after.h"
#include "backends/sdk/status_meaning.h"
#include "server/base/json.h"

namespace millrace::backend::bedrock {
namespace {

struct Meaning {
  std::string_view name;  // of the exception
  Outcome outcome;
  Reason reason;
};

constexpr Meaning kExceptions[] = {
    {"AccessDeniedException", Outcome::kCredentials, Reason::kProviderCredentials},
    {"UnrecognizedClientException", Outcome::kCredentials, Reason::kProviderCredentials},
    {"InvalidSignatureException", Outcome::kCredentials, Reason::kProviderCredentials},
    {"IncompleteSignature", Outcome::kCredentials, Reason::kProviderCredentials},
    {"IncompleteSignatureException", Outcome::kCredentials, Reason::kProviderCredentials},
    {"MissingAuthenticationTokenException", Outcome::kCredentials, Reason::kProviderCredentials},
    {"ExpiredTokenException", Outcome::kCredentials, Reason::kProviderCredentials},
    {"RequestExpired", Outcome::kCredentials, Reason::kProviderCredentials},
    {"RequestTimeTooSkewed", Outcome::kCredentials, Reason::kProviderCredentials},
    {"ValidationException", Outcome::kRefused, Reason::kRequestRefused},
    {"ConflictException", Outcome::kRefused, Reason::kRequestRefused},
    {"ResourceNotFoundException", Outcome::kNoModel, Reason::kProviderModel},
    {"ServiceQuotaExceededException", Outcome::kQuota, Reason::kProviderQuota},
    {"ThrottlingException", Outcome::kRateLimited, Reason::kTargetFailed},
    {"ModelNotReadyException", Outcome::kOverloaded, Reason::kTargetFailed},
    {"ServiceUnavailableException", Outcome::kOverloaded, Reason::kTargetFailed},
    {"InternalServerException", Outcome::kServerError, Reason::kTargetFailed},
    {"InternalFailure", Outcome::kServerError, Reason::kTargetFailed},
    {"ModelErrorException", Outcome::kServerError, Reason::kTargetFailed},
    // The model has worked for minutes, or has begun its answer: likely billed.
    {"ModelTimeoutException", Outcome::kUnknown, Reason::kTargetFailed},
    {"ModelStreamErrorException", Outcome::kPartial, Reason::kTargetFailed},
};

Meaning OfStatus(int status) {
  if (status == 424) return {"", Outcome::kServerError, Reason::kTargetFailed};  // the model has failed
  const StatusMeaning meaning = MeaningOfStatus(status);
  return {"", meaning.outcome, meaning.reason};
}

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Providers of models have words of their own for a prompt that is too long; all come as ValidationException.
bool SaysTooLong(std::string_view message) {
  return Has(message, "too long") || Has(message, "maximum context length") || Has(message, "context limit") ||
         Has(message, "Too many input tokens") || Has(message, "too many total text bytes");
}

Meaning MeaningOf(std::string_view name, int status, std::string_view message, std::optional<int64_t> original_status) {
  if (name == "ValidationException" && SaysTooLong(message)) {
    return {"", Outcome::kRefused, Reason::kPromptTooLong};
  }
  if (name == "ValidationException" && Has(message, "model identifier is invalid")) {
    return {"", Outcome::kNoModel, Reason::kProviderModel};
  }
  // The model refused the request: it will do so again.
  if (name == "ModelErrorException" && original_status && *original_status >= 400 && *original_status < 500) {
    return OfStatus(static_cast<int>(*original_status));
  }
  const auto found = std::find_if(std::begin(kExceptions), std::end(kExceptions),
                                  [&](const Meaning& row) { return row.name == name; });
  return found == std::end(kExceptions) ? OfStatus(status) : *found;
}

// Returns the name of an exception without its name space (`com.amazon.coral.service#`) and without what may follow it
// (`:http://internal.amazon.com/…`). Streams write the first letter small.
std::string BareName(std::string_view name) {
  name = name.substr(0, name.find(':'));
  const size_t hash = name.rfind('#');
  if (hash != std::string_view::npos) name.remove_prefix(hash + 1);
  std::string bare(name);
  if (!bare.empty() && bare[0] >= 'a' && bare[0] <= 'z') bare[0] = static_cast<char>(bare[0] - 'a' + 'A');
  return bare;
}

// The error in a body.
struct Complaint {
  std::string name;
  std::string message;
  std::optional<int64_t> original_status;  // the model's own HTTP status
};

Complaint ReadComplaint(const std::string& body) {
  const StatusOr<json::value> value = ParseReply(body);
  if (!value.ok()) return {.name = "", .message = Excerpt(body, 200), .original_status = {}};  // a proxy's HTML page
  Complaint complaint;
  for (const char* member : {"code", "__type"}) {
    if (complaint.name.empty()) complaint.name = TextAt(*value, member);
  }
  for (const char* member : {"message", "Message", "originalMessage"}) {
    if (complaint.message.empty()) complaint.message = TextAt(*value, member);
  }
  complaint.original_status = CountAt(*value, "originalStatusCode");
  return complaint;
}

// AWS's own header has milliseconds.
std::optional<Duration> RetryAfter(const Headers& headers) {
  const std::string_view millis = HeaderOf(headers, "x-amz-retry-after");
  const auto wait = RetryAfterOf({{"retry-after-ms", std::string(millis)}});
  return wait ? wait : RetryAfterOf(headers);
}

std::string Described(std::string_view place, const Complaint& complaint) {
  std::string message(place);
  if (!complaint.name.empty()) message += fmt::format(", {}", Excerpt(complaint.name));
  if (!complaint.message.empty()) message += fmt::format(": {}", Excerpt(complaint.message, 512));
  return message;
}

}  // namespace

Failure ReadFailure(const Response& response) {
  Complaint complaint = ReadComplaint(response.body);
  if (const std::string_view type = HeaderOf(response.headers, "x-amzn-errortype"); !type.empty()) {
    complaint.name = type;
  }
  complaint.name = BareName(complaint.name);
  // Behind these words AWS quotes the request, with its session token.
  complaint.message = complaint.message.substr(0, complaint.message.find("\n\nThe Canonical String"));
  const Meaning meaning = MeaningOf(complaint.name, response.status, complaint.message, complaint.original_status);
  Failure failure;
  failure.outcome = meaning.outcome;
  failure.reason = meaning.reason;
  failure.http_status = response.status;
  failure.retry_after = RetryAfter(response.headers);
  failure.message = Described(fmt::format("HTTP {}", response.status), complaint);
  if (const std::string_view id = HeaderOf(response.headers, "x-amzn-requestid"); !id.empty()) {
    failure.message += fmt::format(" (request {})", Excerpt(id));
  }
  return failure;
}

Failure ReadStreamFailure(const EventMessage& message) {
  Complaint complaint;
  if (message.TextOf(":message-type") == "exception") {
    complaint = ReadComplaint(message.payload);
    complaint.name = message.TextOf(":exception-type");
  } else {
    complaint.name = message.TextOf(":error-code");
    complaint.message = message.TextOf(":error-message");
  }
  complaint.name = BareName(complaint.name);
  // An exception that we don't know ends the answer like a cut connection.
  Meaning meaning = MeaningOf(complaint.name, 0, complaint.message, complaint.original_status);
  if (meaning.outcome == Outcome::kAnsweredBad) meaning = {"", Outcome::kPartial, Reason::kTargetFailed};
  return {.outcome = meaning.outcome,
          .reason = meaning.reason,
          .message = Described("the stream ended with an error", complaint),
          .retry_after = std::nullopt,
          .http_status = 200};
}

Status RefuseQuestion(std::string_view why) { return MakeError(Reason::kRequestRefused, why); }

Failure NotAsked(const Status& refusal) {
  return {.outcome = Outcome::kRefused,
          .reason = ReasonOf(refusal),
          .message = std::string(MessageOf(refusal)),
          .retry_after = std::nullopt,
          .http_status = 0};
}

Failure Cut(std::string message) {
  return {.outcome = Outcome::kPartial,
          .reason = Reason::kTargetFailed,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = 200};
}

Failure BadResponse(std::string message, int http_status) {
  return {.outcome = Outcome::kAnsweredBad,
          .reason = Reason::kBadResponse,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = http_status};
}

}  // namespace millrace::backend::bedrock
