#include "server/llm/authorize.h"

#include <string>
#include <utility>

#include "server/aws/signer.h"
#include "server/http/url.h"

// GCC 12 takes Asio's allocator of coroutine frames for another one than that which frees them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

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

Task<std::variant<Authorized, backend::Failure>> Authorize(const BackendEntry& entry, backend::Auth auth,
                                                           HttpRequest request) {
  Authorized authorized{.request = std::move(request), .aws_keys = nullptr};
  if (std::holds_alternative<backend::NoAuth>(auth)) co_return std::move(authorized);
  if (entry.secret_origin.empty() || OriginOf(authorized.request.url) != entry.secret_origin) {
    co_return NotAuthorized(backend::Outcome::kNotSent, Reason::kTargetFailed,
                            "the backend's secret is for another host");
  }
  if (!entry.secret_problem.empty()) {
    co_return NotAuthorized(backend::Outcome::kCredentials, Reason::kProviderCredentials, entry.secret_problem);
  }
  if (const auto* header = std::get_if<backend::HeaderAuth>(&auth)) {
    if (!entry.secret.empty()) {
      authorized.request.headers.emplace_back(header->header, header->scheme + std::string(entry.secret.Reveal()));
    }
    co_return std::move(authorized);
  }
  if (entry.aws == nullptr) {
    co_return NotAuthorized(backend::Outcome::kCredentials, Reason::kProviderCredentials,
                            "this backend has no AWS credentials");
  }
  auto& sigv4 = std::get<backend::SigV4Auth>(auth);
  AwsScope scope{.region = std::move(sigv4.region), .service = std::move(sigv4.service)};
  StatusOr<AwsSigner::Signed> result = co_await entry.aws->Sign(std::move(authorized.request), std::move(scope));
  if (!result.ok()) {
    // Once there were credentials: the service that gives them is down. Otherwise somebody must configure some.
    const bool may_pass = entry.aws->has_signed();
    co_return NotAuthorized(may_pass ? backend::Outcome::kNotSent : backend::Outcome::kCredentials,
                            may_pass ? Reason::kTargetFailed : Reason::kProviderCredentials,
                            std::string(MessageOf(result.status())));
  }
  authorized.request = std::move(result->request);
  authorized.aws_keys = std::move(result->keys);
  co_return std::move(authorized);
}

void TakeRefusal(const BackendEntry& entry, const AwsCredentials::Keys& keys, std::string_view date,
                 backend::Failure& failure) {
  if (keys == nullptr) return;
  failure.message = keys->session_token.Redact(std::move(failure.message));
  if (failure.outcome != backend::Outcome::kCredentials || !entry.aws->Learn(keys, date)) return;
  failure.outcome = backend::Outcome::kServerError;
  failure.reason = Reason::kTargetFailed;
}

}  // namespace millrace

#pragma GCC diagnostic pop
