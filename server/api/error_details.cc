#include "server/api/error_details.h"

#include <fmt/format.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "server/base/random.h"

namespace millrace::api {
namespace {

constexpr size_t kDetailsBytesMax = 4096;
// Bytes of the message (percent-encoded) and the details (base64) together.
constexpr size_t kTrailerBytesMax = 7 << 10;

std::string IncidentId() {
  static std::mutex mutex;
  static Random random = Random::FromSystem();
  const std::lock_guard lock(mutex);
  return random.Name(12);
}

// The text of a bug may name anything: it goes to the log, and only its id goes to the client.
Status AsIncident(const Status& status) {
  const std::string id = IncidentId();
  spdlog::error("incident {}: {}", id, Excerpt(MessageOf(status), 1024));
  return MakeError(Reason::kInternal, fmt::format("internal error, incident {}", id));
}

size_t PercentEncodedBytes(std::string_view text) {
  size_t bytes = 0;
  for (const char c : text) bytes += (c >= 0x20 && c < 0x7f && c != '%') ? 1 : 3;
  return bytes;
}

void AddViolations(const Status& status, size_t bytes_max, google::rpc::Status& details) {
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  if (violations.empty()) return;
  google::rpc::BadRequest bad_request;
  size_t bytes = details.ByteSizeLong() + 128;  // for the Any around it and the last line
  for (const FieldViolation& violation : violations) {
    bytes += violation.field.size() + violation.description.size() + 12;
    auto* entry = bad_request.add_field_violations();
    if (bytes > bytes_max) {
      const int left_out = static_cast<int>(violations.size()) - bad_request.field_violations_size() + 1;
      entry->set_description(fmt::format("and {} more", left_out));
      break;
    }
    entry->set_field(violation.field);
    entry->set_description(violation.description);
  }
  details.add_details()->PackFrom(bad_request);
}

}  // namespace

grpc::Status ToGrpcStatus(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string reason = ReasonNameOf(status);
  if (ReasonOf(status) == Reason::kInternal && !HasReason(status)) return ToGrpcStatus(AsIncident(status));

  const std::string message(MessageOf(status));
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("millrace");
  details.add_details()->PackFrom(info);
  if (const std::optional<Duration> delay = RetryDelayOf(status)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay->count() / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay->count() % 1'000'000'000));
    details.add_details()->PackFrom(retry);
  }
  const size_t room = (kTrailerBytesMax - std::min(kTrailerBytesMax, PercentEncodedBytes(message))) / 4 * 3;
  AddViolations(status, std::min(kDetailsBytesMax, room), details);
  return {static_cast<grpc::StatusCode>(status.code()), message, details.SerializeAsString()};
}

}  // namespace millrace::api
