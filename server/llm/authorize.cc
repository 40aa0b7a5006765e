#include "server/llm/authorize.h"

#include <string>
#include <utility>

#include "server/http/url.h"

namespace millrace {
namespace {

backend::Failure NotAuthorized(backend::Outcome outcome, Reason reason, std::string message) {
  return {.outcome = outcome,
          .reason = reason,
          .message = std::move(message),
          .retry_after = std::nullopt,
          .http_status = 0};
}

}  // namespace

std::optional<backend::Failure> Authorize(const BackendEntry& entry, const backend::Auth& auth, HttpRequest& request) {
  if (std::holds_alternative<backend::NoAuth>(auth)) return std::nullopt;
  if (entry.secret_origin.empty() || OriginOf(request.url) != entry.secret_origin) {
    return NotAuthorized(backend::Outcome::kNotSent, Reason::kTargetFailed, "the backend's secret is for another host");
  }
  const auto* header = std::get_if<backend::HeaderAuth>(&auth);
  if (header == nullptr) {
    return NotAuthorized(backend::Outcome::kCredentials, Reason::kProviderCredentials,
                         "this backend has no AWS credentials");
  }
  if (!entry.secret.empty()) {
    request.headers.emplace_back(header->header, header->scheme + std::string(entry.secret.Reveal()));
  }
  return std::nullopt;
}

}  // namespace millrace
