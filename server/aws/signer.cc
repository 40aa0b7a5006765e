#include "server/aws/signer.h"

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "server/base/http_date.h"
#include "server/base/run_if_long.h"

namespace millrace {
namespace {

// A date that is further away corrects nothing: it is wrong itself. A machine that slept may be behind by weeks.
constexpr int64_t kOffsetMaxSeconds = int64_t{10} * 366 * 24 * 3600;

}  // namespace

Task<StatusOr<AwsSigner::Signed>> AwsSigner::Sign(HttpRequest request, AwsScope scope) {
  MR_CO_ASSIGN_OR_RETURN(AwsCredentials::Keys keys, co_await credentials_.Get());
  const int64_t wall_micros =
      loop_.clock().WallMicros() + std::chrono::duration_cast<std::chrono::microseconds>(clock_offset_).count();
  const size_t bytes = request.body.size();
  auto sign = [request = std::move(request), keys, scope = std::move(scope),
               wall_micros]() mutable -> StatusOr<HttpRequest> {
    MR_ASSIGN_OR_RETURN(AwsSignature signature, SignAws(request, *keys, scope, wall_micros));
    for (auto& header : signature.headers) request.headers.push_back(std::move(header));
    return std::move(request);
  };
  MR_CO_ASSIGN_OR_RETURN(HttpRequest with_signature, co_await RunIfLong(loop_, pool_, bytes, std::move(sign)));
  Signed result{.request = std::move(with_signature), .keys = std::move(keys)};
  co_return std::move(result);
}

bool AwsSigner::Learn(const AwsCredentials::Keys& refused, std::string_view date) {
  static constexpr Duration kTolerance = std::chrono::minutes(1);
  const std::optional<int64_t> then = HttpDateSeconds(date);
  const int64_t now_micros = loop_.clock().WallMicros();
  if (then && std::abs(*then - now_micros / 1'000'000) <= kOffsetMaxSeconds) {
    const Duration offset = std::chrono::microseconds(*then * 1'000'000 - now_micros);
    if (offset > clock_offset_ + kTolerance || offset < clock_offset_ - kTolerance) {
      clock_offset_ = offset;
      return true;
    }
  }
  return credentials_.Drop(refused);
}

}  // namespace millrace
