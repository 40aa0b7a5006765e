#include "backends/sdk/http_call.h"

#include <algorithm>
#include <utility>

namespace millrace::backend {
namespace {

class Failed final : public Exchange {
 public:
  explicit Failed(Failure failure) : failure_(std::move(failure)) {}

  Action Next(Input) override { return Fail{failure_}; }

 private:
  const Failure failure_;
};

bool IsEnd(const Action& action) {
  return std::holds_alternative<Done>(action) || std::holds_alternative<Fail>(action);
}

}  // namespace

std::string_view HeaderOf(const Headers& headers, std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const auto same = [&](char a, char b) { return lower(a) == lower(b); };
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& header) {
    return std::equal(header.first.begin(), header.first.end(), name.begin(), name.end(), same);
  });
  return found == headers.end() ? std::string_view() : found->second;
}

Action WholeBodyExchange::Next(Input input) {
  if (std::holds_alternative<Resume>(input)) return std::move(request_);
  if (auto* head = std::get_if<Head>(&input)) {
    response_ = {.status = head->status, .headers = std::move(head->headers), .body = {}};
    return More();
  }
  if (auto* bytes = std::get_if<Bytes>(&input)) {
    response_.body.empty() ? response_.body.swap(bytes->bytes) : (void)response_.body.append(bytes->bytes);
    return More();
  }
  return Read(std::move(response_));
}

std::unique_ptr<Exchange> FailedExchange(Failure failure) { return std::make_unique<Failed>(std::move(failure)); }

Failure EmbedsNothing(std::string_view kind) {
  return {.outcome = Outcome::kRefused,
          .reason = Reason::kRequestRefused,
          .message = "backend kind `" + std::string(kind) + "` does not embed texts",
          .retry_after = std::nullopt,
          .http_status = 0};
}

Action ReadStored(Exchange& exchange, Response response) {
  Action action = exchange.Next(Head{.status = response.status, .headers = std::move(response.headers)});
  if (std::holds_alternative<More>(action) && !response.body.empty()) {
    action = exchange.Next(Bytes{std::move(response.body)});
  }
  if (std::holds_alternative<More>(action)) action = exchange.Next(End());
  if (IsEnd(action)) return action;
  return Fail{{.outcome = Outcome::kAnsweredBad,
               .reason = Reason::kBadResponse,
               .message = "a stored response is not a response of the protocol",
               .retry_after = std::nullopt,
               .http_status = response.status}};
}

}  // namespace millrace::backend
