#include "server/http/beast_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/http/connection.h"
#include "server/http/connection_slots.h"
#include "server/http/name_service.h"
#include "server/http/request_in_flight.h"
#include "server/http/resolver.h"
#include "server/http/response_reader.h"

// GCC 12 takes the frames of coroutines for memory of another allocator (see server/llm/host.cc).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

constexpr size_t kReadBytes = 16 << 10;
// Bytes of one answer that are read before others have a turn.
constexpr size_t kBytesPerTurn = 4 * kReadBytes;
constexpr size_t kIdleMax = 4096;  // idle connections to all hosts together
// Time until the next try to open a socket if the process had no descriptor left.
constexpr Duration kDescriptorWait = std::chrono::milliseconds(100);

bool IsOutOfDescriptors(const error_code& error) {
  return error == boost::system::errc::too_many_files_open ||
         error == boost::system::errc::too_many_files_open_in_system;
}

// Returns the bytes of the request's head; nullopt if a header has a line break, and could forge other headers.
std::optional<std::string> HeadOf(const HttpRequest& request, const HttpUrl& url) {
  const auto breaks_out = [](std::string_view text) {
    using std::string_view_literals::operator""sv;
    return text.find_first_of("\r\n\0"sv) != std::string_view::npos;
  };
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: identity\r\n", request.method,
                                 url.target, url.authority);
  if (breaks_out(request.method)) return std::nullopt;
  for (const auto& [name, value] : request.headers) {
    if (name.empty() || breaks_out(name) || name.find(':') != std::string::npos || breaks_out(value)) {
      return std::nullopt;
    }
    head.append(name).append(": ").append(value).append("\r\n");
  }
  const bool has_body = !request.body.empty() || (request.method != "GET" && request.method != "HEAD");
  if (has_body) head += fmt::format("Content-Length: {}\r\n", request.body.size());
  head += "\r\n";
  return head;
}

using Tls = std::shared_ptr<asio::ssl::context>;

// Returns a context that trusts the system's certificates and those of `ca_file`. Takes tens of milliseconds.
Tls MakeTls(const std::string& ca_file) {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  tls->set_verify_mode(asio::ssl::verify_peer);
  error_code ignored;  // without trusted certificates every handshake fails with a clear error
  tls->set_default_verify_paths(ignored);
  if (!ca_file.empty()) tls->load_verify_file(ca_file, ignored);
  return tls;
}

// The TLS context, or the wait for it.
struct Trust {
  explicit Trust(Loop& loop) : changed(loop) {}

  Event changed;
  Tls tls;  // null while the certificates are read
};

class BeastClient final : public HttpClient {
 public:
  BeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options, std::unique_ptr<NameService> names)
      : loop_(loop),
        pool_(pool),
        options_(options),
        names_(std::move(names)),
        resolver_(loop, *names_),
        slots_(options.connections_max) {}

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override;

 private:
  // Returns the TLS context, and has the pool make it the first time. Null if the attempt ended first.
  Task<Tls> Trusted(RequestInFlight& attempt);
  struct Open {
    std::unique_ptr<Connection> connection;
    ConnectionSlots::Slot slot;
  };
  // Returns an idle connection, or a new one once there is a slot for it; nullopt, with the error in `result`, if none
  // can be had.
  Task<std::optional<Open>> Connect(const std::string& key, const HttpUrl& url, RequestInFlight& attempt,
                                    const HttpLimits& limits, HttpResult& result);
  // Returns a connection to the first address that accepts one; null, with the error in `result`, if none does.
  Task<std::unique_ptr<Connection>> NewConnection(const HttpUrl& url, RequestInFlight& attempt,
                                                  const HttpLimits& limits, HttpResult& result);
  std::optional<Open> IdleConnection(const std::string& key);
  void Keep(const std::string& key, Open open);
  // Closes the idle connection that was not used for longest. Returns false if there is none.
  bool CloseOldest();
  void CloseOld();
  // Returns true if the request was sent, or enough of it that the server may have answered.
  Task<bool> WriteRequest(Connection& connection, RequestInFlight& attempt, const HttpLimits& limits,
                          std::string_view head, std::string_view body, HttpResult& result);
  // Reads the answer and gives it to `sink`. Returns true if the connection may carry another request.
  Task<bool> ReadAnswer(Connection& connection, RequestInFlight& attempt, ResponseReader& reader,
                        const HttpLimits& limits, HttpSink& sink, HttpResult& result);
  // Reads some bytes.
  Task<ResponseReader::State> ReadSome(Connection& connection, RequestInFlight& attempt, ResponseReader& reader,
                                       HttpResult& result);

  Loop& loop_;
  Pool& pool_;
  const BeastClientOptions options_;
  const std::unique_ptr<NameService> names_;
  Resolver resolver_;
  std::shared_ptr<Trust> trust_;                   // null until TLS is used
  std::map<std::string, std::vector<Open>> idle_;  // by scheme, host and port, newest last
  size_t idle_count_ = 0;
  ConnectionSlots slots_;  // after idle_: destroyed first, so that closing the idle ones wakes nobody
  Loop::Timer closing_;
  std::array<char, kReadBytes> read_buffer_;  // of all connections (see Connection::Read)
};

Task<HttpResult> BeastClient::Send(HttpRequest request, HttpLimits limits, HttpSink& sink) {
  HttpResult result;
  const StatusOr<HttpUrl> parsed = ParseHttpUrl(request.url);
  if (!parsed.ok()) {
    result.error = std::string(MessageOf(parsed.status()));
    co_return result;
  }
  const HttpUrl& url = *parsed;
  const std::optional<std::string> head = HeadOf(request, url);
  if (!head) {
    result.error = "a header has a line break";
    co_return result;
  }
  if (limits.stop != nullptr && limits.stop->stopped()) {
    result.outcome = HttpOutcome::kCancelled;
    result.error = "cancelled";
    co_return result;
  }
  RequestInFlight attempt(loop_, limits);
  const std::string key = fmt::format("{} {} {}", url.tls, url.host, url.port);
  std::optional<Open> open = co_await Connect(key, url, attempt, limits, result);
  bool keep = false;
  if (open) {
    Connection& used = *open->connection;
    attempt.OnEnd([&used] { used.Close(); });
    if (const bool held = co_await WriteRequest(used, attempt, limits, *head, request.body, result); held) {
      request.body = {};  // an answer may take minutes
      ResponseReader reader({.header_bytes = limits.header_bytes_max, .body_bytes = limits.body_bytes_max},
                            request.method == "HEAD");
      keep = co_await ReadAnswer(used, attempt, reader, limits, sink, result);
    }
  }
  const bool is_complete = result.outcome == HttpOutcome::kAnswered || result.outcome == HttpOutcome::kEnded;
  if (!is_complete && attempt.was_cancelled()) result.outcome = HttpOutcome::kCancelled;
  attempt.Finish();
  if (keep && !attempt.ended()) Keep(key, *std::move(open));
  co_return result;
}

Task<Tls> BeastClient::Trusted(RequestInFlight& attempt) {
  if (trust_ == nullptr) {
    trust_ = std::make_shared<Trust>(loop_);
    const auto made = std::make_shared<Tls>();
    // Named variables, for GCC 12 (see server/base/task.h).
    absl::AnyInvocable<void()> make = [made, ca_file = options_.ca_file] { *made = MakeTls(ca_file); };
    absl::AnyInvocable<void()> done = [made, trust = trust_] {
      trust->tls = std::move(*made);
      trust->changed.NotifyAll();
    };
    pool_.Submit(std::move(make), std::move(done));
  }
  const std::shared_ptr<Trust> trust = trust_;
  attempt.OnEnd([trust] { trust->changed.NotifyAll(); });
  while (trust->tls == nullptr && !attempt.ended()) co_await trust->changed.Wait();
  co_return trust->tls;
}

Task<std::optional<BeastClient::Open>> BeastClient::Connect(const std::string& key, const HttpUrl& url,
                                                            RequestInFlight& attempt, const HttpLimits& limits,
                                                            HttpResult& result) {
  std::optional<ConnectionSlots::Place> place;
  while (!attempt.ended()) {
    if (std::optional<Open> idle = IdleConnection(key)) {
      result.reused_connection = true;
      co_return idle;
    }
    if (std::optional<ConnectionSlots::Slot> slot = slots_.Take(key)) {
      place.reset();
      std::unique_ptr<Connection> connection = co_await NewConnection(url, attempt, limits, result);
      if (connection == nullptr) co_return std::nullopt;
      std::optional<Open> open(Open{std::move(connection), *std::move(slot)});
      co_return open;
    }
    if (slots_.full() && CloseOldest()) continue;
    if (!place) place.emplace(slots_, loop_, key);
    Event& may_retry = place->event();
    attempt.OnEnd([&may_retry] { may_retry.NotifyAll(); });
    attempt.LimitByDeadline();
    co_await may_retry.Wait();
    attempt.OnEnd(nullptr);
  }
  result.error = attempt.Why("no connection was free");
  co_return std::nullopt;
}

Task<std::unique_ptr<Connection>> BeastClient::NewConnection(const HttpUrl& url, RequestInFlight& attempt,
                                                             const HttpLimits& limits, HttpResult& result) {
  attempt.Limit(limits.connect, "the connection took too long");
  const StatusOr<Resolver::Addresses> addresses = co_await resolver_.Resolve(url, attempt);
  if (!addresses.ok()) {
    result.error = attempt.Why(fmt::format("{} can't be resolved: {}", url.host, MessageOf(addresses.status())));
    result.no_such_host = absl::IsNotFound(addresses.status()) && !attempt.ended();
    co_return nullptr;
  }
  Tls tls;
  if (url.tls) tls = co_await Trusted(attempt);
  for (const asio::ip::tcp::endpoint& address : *addresses) {
    if (attempt.ended()) break;
    auto connection = std::make_unique<Connection>(loop_.context());
    Connection& used = *connection;
    attempt.OnEnd([&used] { used.Close(); });
    error_code error = co_await used.Connect(address);
    while (IsOutOfDescriptors(error) && !attempt.ended()) {
      // Others of this process have them all. This is not the provider's fault, so the request waits.
      CloseOldest();
      attempt.LimitByDeadline();
      Event ended(loop_);
      attempt.OnEnd([&ended] { ended.NotifyAll(); });
      co_await ended.WaitUntil(loop_.Now() + kDescriptorWait);
      attempt.OnEnd([&used] { used.Close(); });
      attempt.Limit(limits.connect, "the connection took too long");
      error = co_await used.Connect(address);
    }
    const bool connected = !error;
    if (connected && url.tls) error = co_await used.Secure(*tls, url);
    attempt.OnEnd(nullptr);
    if (!error && !attempt.ended()) co_return connection;
    result.error = attempt.Why(
        fmt::format("{} to {}:{} failed: {}", connected ? "TLS" : "connecting", url.host, url.port, error.message()));
  }
  if (result.error.empty()) result.error = attempt.Why("no address");
  co_return nullptr;
}

Task<bool> BeastClient::WriteRequest(Connection& connection, RequestInFlight& attempt, const HttpLimits& limits,
                                     std::string_view head, std::string_view body, HttpResult& result) {
  while (!head.empty() || !body.empty()) {
    attempt.Limit(limits.idle, "the server did not read the request in time");
    const Transfer written = co_await connection.Write(head, body);
    result.bytes_sent += written.bytes;
    const size_t of_head = std::min(written.bytes, head.size());
    head.remove_prefix(of_head);
    body.remove_prefix(written.bytes - of_head);
    if (!written.error) continue;
    // After an error of TLS it is unknown which bytes were sent.
    const bool sent = result.bytes_sent > 0 || connection.is_tls();
    result.outcome = sent ? HttpOutcome::kUnknown : HttpOutcome::kNotSent;
    result.error = attempt.Why(fmt::format("the request could not be sent: {}", written.error.message()));
    // The server may have answered and closed before it read everything.
    co_return sent && !attempt.ended();
  }
  result.outcome = HttpOutcome::kUnknown;
  co_return true;
}

Task<bool> BeastClient::ReadAnswer(Connection& connection, RequestInFlight& attempt, ResponseReader& reader,
                                   const HttpLimits& limits, HttpSink& sink, HttpResult& result) {
  using State = ResponseReader::State;
  const bool all_sent = result.error.empty();
  bool has_head = false;
  bool is_wanted = true;
  State state = State::kMore;
  size_t yields_at = kBytesPerTurn;
  attempt.Limit(limits.first_byte, "the answer's first byte took too long");
  while (state == State::kMore && is_wanted) {
    state = co_await ReadSome(connection, attempt, reader, result);
    attempt.LimitByDeadline();
    if (reader.has_head() && !has_head) {
      has_head = true;
      is_wanted = co_await sink.Head(reader.status(), reader.TakeHeaders());
    }
    std::string body = reader.TakeBody();
    if (is_wanted && !body.empty()) is_wanted = co_await sink.Body(std::move(body));
    attempt.Limit(limits.idle, "the answer stopped coming");
    // Reads of a connection that always has bytes never wait, so that nothing else would have a turn meanwhile.
    if (result.bytes_received >= yields_at) {
      yields_at = result.bytes_received + kBytesPerTurn;
      co_await loop_.Yield();
    }
  }
  result.status = reader.status();
  if (state == State::kWhole || !is_wanted) {
    result.outcome = is_wanted ? HttpOutcome::kAnswered : HttpOutcome::kEnded;
    result.error.clear();
    const bool keeps = all_sent && reader.keeps_connection();
    if (!keeps) connection.Close();
    co_return keeps;
  }
  if (result.error.empty()) result.error = reader.problem();
  result.outcome = state == State::kTooLarge ? HttpOutcome::kTooLarge
                   : result.status == 0      ? HttpOutcome::kUnknown
                                             : HttpOutcome::kPartial;
  connection.Close();
  co_return false;
}

Task<ResponseReader::State> BeastClient::ReadSome(Connection& connection, RequestInFlight& attempt,
                                                  ResponseReader& reader, HttpResult& result) {
  const Transfer read = co_await connection.Read(read_buffer_.data(), read_buffer_.size());
  if (read.bytes > 0) {
    result.bytes_received += read.bytes;
    co_return reader.Feed({read_buffer_.data(), read.bytes});
  }
  if (read.error == asio::error::eof) {
    const ResponseReader::State state = reader.End();
    if (state != ResponseReader::State::kWhole && result.error.empty()) result.error = reader.problem();
    co_return state;
  }
  if (read.error && result.error.empty()) {
    result.error = attempt.Why(fmt::format("the connection failed: {}", read.error.message()));
  }
  co_return read.error ? ResponseReader::State::kBrokenOff : ResponseReader::State::kMore;
}

std::optional<BeastClient::Open> BeastClient::IdleConnection(const std::string& key) {
  const auto found = idle_.find(key);
  if (found == idle_.end()) return std::nullopt;
  std::vector<Open>& connections = found->second;
  std::optional<Open> usable;
  while (!connections.empty() && !usable) {
    Open last = std::move(connections.back());
    connections.pop_back();
    --idle_count_;
    Connection& connection = *last.connection;
    if (connection.used_at + options_.idle_max > loop_.Now() && connection.IsQuiet()) usable.emplace(std::move(last));
  }
  if (connections.empty()) idle_.erase(found);
  return usable;
}

void BeastClient::Keep(const std::string& key, Open open) {
  if (idle_count_ >= kIdleMax) return;
  // Its slot goes to a request that waits, unless one waits for this very origin.
  if (slots_.has_waiting() && !slots_.WakeOf(key)) return;
  open.connection->used_at = loop_.Now();
  if (idle_count_ == 0) closing_ = loop_.CallAt(loop_.Now() + options_.idle_max, [this] { CloseOld(); });
  idle_[key].push_back(std::move(open));
  ++idle_count_;
}

bool BeastClient::CloseOldest() {
  auto oldest = idle_.end();
  for (auto host = idle_.begin(); host != idle_.end(); ++host) {
    const auto used_at = [](const auto& entry) { return entry.second.front().connection->used_at; };
    if (oldest == idle_.end() || used_at(*host) < used_at(*oldest)) oldest = host;
  }
  if (oldest == idle_.end()) return false;
  oldest->second.erase(oldest->second.begin());
  if (oldest->second.empty()) idle_.erase(oldest);
  --idle_count_;
  return true;
}

void BeastClient::CloseOld() {
  const TimePoint now = loop_.Now();
  for (auto host = idle_.begin(); host != idle_.end();) {
    std::vector<Open>& connections = host->second;
    idle_count_ -= std::erase_if(connections,
                                 [&](const Open& open) { return open.connection->used_at + options_.idle_max <= now; });
    host = connections.empty() ? idle_.erase(host) : std::next(host);
  }
  if (idle_count_ > 0) closing_ = loop_.CallAt(now + options_.idle_max / 2, [this] { CloseOld(); });
}

}  // namespace

std::unique_ptr<HttpClient> MakeBeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options) {
  return MakeBeastClient(loop, pool, options, MakeThreadedNames(loop, LookUpBySystem));
}

std::unique_ptr<HttpClient> MakeBeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options,
                                            std::unique_ptr<NameService> names) {
  return std::make_unique<BeastClient>(loop, pool, options, std::move(names));
}

}  // namespace millrace

#pragma GCC diagnostic pop
