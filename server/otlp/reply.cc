#include "server/otlp/reply.h"

#include <algorithm>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/duration.h"

namespace millrace::otlp {
namespace {

// Codes of gRPC; its own enum is in a header that includes all of it.
constexpr int kOk = 0;
constexpr int kCancelled = 1;
constexpr int kDeadlineExceeded = 4;
constexpr int kResourceExhausted = 8;
constexpr int kAborted = 10;
constexpr int kOutOfRange = 11;
constexpr int kUnavailable = 14;
constexpr int kDataLoss = 15;

std::optional<Duration> RetryDelayIn(const std::string& details) {
  google::rpc::Status status;
  if (details.empty() || !status.ParseFromString(details)) return std::nullopt;
  for (const google::protobuf::Any& any : status.details()) {
    google::rpc::RetryInfo info;
    if (any.UnpackTo(&info)) return std::max(Duration(0), ToDuration(info.retry_delay()));
  }
  return std::nullopt;
}

}  // namespace

Decision After(const Reply& reply) {
  switch (reply.code) {
    case kOk:
      return {.verdict = Verdict::kDone};
    case kCancelled:
    case kDeadlineExceeded:
    case kAborted:
    case kOutOfRange:
    case kUnavailable:
    case kDataLoss:
      return {.verdict = Verdict::kRetry, .delay = RetryDelayIn(reply.details)};
    case kResourceExhausted: {
      // Without a delay it is not a request to slow down: the receiver will never take it.
      const std::optional<Duration> delay = RetryDelayIn(reply.details);
      return {.verdict = delay ? Verdict::kRetry : Verdict::kDrop, .delay = delay};
    }
    default:
      return {.verdict = Verdict::kDrop};
  }
}

Duration BackoffAfter(int tries, Duration initial, Random& random) {
  const int64_t doubled = initial.count() << std::min(tries - 1, 16);
  return Duration(static_cast<int64_t>(static_cast<double>(doubled) * (0.8 + 0.4 * random.Uniform())));
}

}  // namespace millrace::otlp
