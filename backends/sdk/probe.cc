#include "backends/sdk/probe.h"

#include <utility>

namespace millrace::backend {
namespace {

constexpr size_t kBodyBytesMax = 8u << 20;

}  // namespace

std::unique_ptr<Probe> Backend::StartProbe(std::vector<std::string>) const { return nullptr; }

std::unique_ptr<Exchange> Backend::StartErrand(Errand, const std::string&) const { return nullptr; }

Action HttpProbe::Next(Input input) {
  if (std::holds_alternative<Resume>(input)) return Take(Begin());
  if (auto* head = std::get_if<Head>(&input)) {
    response_ = {.status = head->status, .headers = std::move(head->headers), .body = {}};
    return More();
  }
  if (const auto* bytes = std::get_if<Bytes>(&input)) {
    if (response_.body.size() + bytes->bytes.size() > kBodyBytesMax) {
      return Fail{{.outcome = Outcome::kTooLarge,
                   .reason = Reason::kResponseTooLarge,
                   .message = "the server's answer to a probe is larger than 8 MiB",
                   .retry_after = std::nullopt,
                   .http_status = response_.status}};
    }
    response_.body += bytes->bytes;
    return More();
  }
  const Response response = std::move(response_);
  return Take(Read(response));
}

Action HttpProbe::Take(Step step) {
  if (auto* send = std::get_if<SendHttp>(&step)) return std::move(*send);
  if (auto* failure = std::get_if<Failure>(&step)) return Fail{std::move(*failure)};
  state_ = std::move(std::get<ServerState>(step));
  return Done();
}

}  // namespace millrace::backend
