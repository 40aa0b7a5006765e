#include "server/http/resolver.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

// GCC 12 takes the frames of coroutines for memory of another allocator (see server/llm/host.cc).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

constexpr Duration kPatience = std::chrono::milliseconds(1800);
constexpr Duration kRememberedFor = std::chrono::hours(1);

}  // namespace

Task<StatusOr<Resolver::Addresses>> Resolver::Resolve(const HttpUrl& url, RequestInFlight& attempt) {
  if (url.host_is_address) {
    error_code error;
    const asio::ip::address address = asio::ip::make_address(url.host, error);
    if (!error) co_return Addresses{{address, static_cast<uint16_t>(std::stoi(url.port))}};
  }
  Loop& loop = loop_;  // used after the resolver may be gone
  const std::string key = fmt::format("{} {}", url.host, url.port);
  std::shared_ptr<Host>& known = hosts_[key];
  if (known == nullptr) known = std::make_shared<Host>(loop);
  const std::shared_ptr<Host> host = known;
  const int64_t before = host->answers;
  if (!host->is_asked) Ask(host, url);

  attempt.OnEnd([host] { host->changed.NotifyAll(); });
  const auto is_remembered = [&loop, &host = *host] {
    return !host.addresses.empty() && loop.Now() < host.found_at + kRememberedFor;
  };
  while (host->answers == before && !attempt.ended()) {
    const TimePoint until = is_remembered() ? host->asked_at + kPatience : kNever;
    if (loop.Now() >= until) break;
    co_await host->changed.WaitUntil(until);
  }
  attempt.OnEnd(nullptr);
  if (attempt.ended()) co_return absl::CancelledError("the request ended");
  // A look-up that has not ended says nothing yet; the remembered addresses stand for it.
  if (is_remembered()) co_return host->addresses;
  // asio distinguishes a name that does not exist (EAI_NONAME, EAI_NODATA) from a failure that may pass (EAI_AGAIN).
  if (host->error == asio::error::host_not_found) co_return absl::NotFoundError(host->error.message());
  co_return absl::UnavailableError(host->error ? host->error.message() : "it has no address");
}

void Resolver::Ask(const std::shared_ptr<Host>& host, const HttpUrl& url) {
  host->is_asked = true;
  host->asked_at = loop_.Now();
  absl::AnyInvocable<void(FoundAddresses)> done = [host, &loop = loop_](FoundAddresses found) {
    host->is_asked = false;
    ++host->answers;
    host->error = found.error;
    const bool is_found = !found.error && !found.addresses.empty();
    if (is_found || found.error == asio::error::host_not_found) host->addresses = std::move(found.addresses);
    if (is_found) host->found_at = loop.Now();
    host->changed.NotifyAll();
  };
  names_.LookUp(url.host, url.port, std::move(done));
}

}  // namespace millrace

#pragma GCC diagnostic pop
