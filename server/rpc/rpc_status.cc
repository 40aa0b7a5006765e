#include "server/rpc/rpc_status.h"

#include <fmt/format.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace millrace {
namespace {

constexpr int64_t kWaitSecondsMax = 86400;

struct Code {
  std::string_view name;
  int http_status;
};

// By the numbers of gRPC's codes.
constexpr std::array<Code, 17> kCodes = {{{"OK", 200},
                                          {"CANCELLED", 500},
                                          {"UNKNOWN", 500},
                                          {"INVALID_ARGUMENT", 400},
                                          {"DEADLINE_EXCEEDED", 504},
                                          {"NOT_FOUND", 404},
                                          {"ALREADY_EXISTS", 409},
                                          {"PERMISSION_DENIED", 403},
                                          {"RESOURCE_EXHAUSTED", 429},
                                          {"FAILED_PRECONDITION", 400},
                                          {"ABORTED", 409},
                                          {"OUT_OF_RANGE", 400},
                                          {"UNIMPLEMENTED", 404},
                                          {"INTERNAL", 500},
                                          {"UNAVAILABLE", 503},
                                          {"DATA_LOSS", 500},
                                          {"UNAUTHENTICATED", 401}}};

const Code& CodeOf(const grpc::Status& status) {
  const auto number = static_cast<size_t>(status.error_code());
  return kCodes[number < kCodes.size() ? number : static_cast<size_t>(grpc::StatusCode::UNKNOWN)];
}

// A server refuses a request above its limit of bytes with the code of a rate limit. These are the words of C++,
// Python, Go and JavaScript, of Java, and of .NET.
bool IsRequestTooLarge(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED) return false;
  for (const char* words :
       {"larger than max", "message exceeds maximum size", "exceeds the maximum configured message size"}) {
    if (status.error_message().find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

int HttpStatusOf(const grpc::Status& status) { return IsRequestTooLarge(status) ? 413 : CodeOf(status).http_status; }

HttpHeaders HeadersOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (status.error_details().empty() || !details.ParseFromString(status.error_details())) return {};
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::RetryInfo info;
    if (!any.UnpackTo(&info)) continue;
    const int64_t seconds = std::clamp<int64_t>(info.retry_delay().seconds(), 0, kWaitSecondsMax);
    const int64_t millis = seconds * 1000 + std::clamp(info.retry_delay().nanos(), 0, 999'999'999) / 1'000'000;
    return {{"retry-after-ms", std::to_string(millis)}};
  }
  return {};
}

std::string WordsOf(const grpc::Status& status) {
  return fmt::format("{}: {}", CodeOf(status).name, status.error_message());
}

}  // namespace millrace
