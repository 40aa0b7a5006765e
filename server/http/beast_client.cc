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
#include "server/http/response_reader.h"

namespace millrace {
namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr char kDeadlinePassed[] = "the total time limit passed";
constexpr size_t kIdleMax = 4096;  // idle connections to all hosts together

// One request in flight. It lives in the coroutine of Send; time limits and the stop signal end the request through it.
class Attempt {
 public:
  Attempt(Loop& loop, const HttpLimits& limits) : loop_(loop), limits_(limits) {
    if (limits_.stop != nullptr) stop_watch_.emplace(*limits_.stop, [this] { End("cancelled"); });
  }
  Attempt(const Attempt&) = delete;

  // Sets the function by which End interrupts the current wait.
  void OnEnd(absl::AnyInvocable<void()> interrupt) { interrupt_ = std::move(interrupt); }

  // Ends the request after `duration`, or at the deadline if that is earlier; replaces the previous limit. `what` is
  // the error for that, and must be a literal.
  void Limit(Duration duration, const char* what) {
    const TimePoint now = loop_.Now();
    const bool all = limits_.deadline - now < duration;
    until_ = all ? limits_.deadline : now + duration;
    waits_for_ = all ? kDeadlinePassed : what;
    // Sets a new timer only if the limit moves nearer, because it moves away with nearly every byte.
    if (until_ < fires_at_) SetTimer();
  }

  // Leaves only the deadline, while the sink works.
  void LimitByDeadline() {
    until_ = limits_.deadline;
    waits_for_ = kDeadlinePassed;
    if (until_ < fires_at_) SetTimer();
  }

  bool ended() const { return ended_ != nullptr; }
  bool was_cancelled() const { return limits_.stop != nullptr && limits_.stop->stopped(); }
  // Returns the reason for which End was called; `otherwise` if it was not.
  std::string Why(std::string otherwise) const { return ended_ != nullptr ? ended_ : std::move(otherwise); }

  // Stops the timer and the watch.
  void Finish() {
    timer_.Cancel();
    interrupt_ = nullptr;
    stop_watch_.reset();
  }

 private:
  void SetTimer() {
    fires_at_ = until_;
    timer_ = loop_.CallAt(until_, [this] {
      fires_at_ = kNever;
      if (loop_.Now() < until_) return SetTimer();
      End(waits_for_);
    });
  }
  void End(const char* why) {
    if (ended_ == nullptr) ended_ = why;
    if (interrupt_) interrupt_();
  }

  Loop& loop_;
  const HttpLimits& limits_;
  std::optional<StopSignal::Watch> stop_watch_;
  absl::AnyInvocable<void()> interrupt_;
  Loop::Timer timer_;
  TimePoint until_ = kNever;
  TimePoint fires_at_ = kNever;
  const char* waits_for_ = "";
  const char* ended_ = nullptr;
};

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
  BeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options)
      : loop_(loop), pool_(pool), options_(options) {}

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override;

 private:
  using Addresses = std::vector<asio::ip::tcp::endpoint>;

  // Returns the TLS context, and has the pool make it the first time. Null if the attempt ended first.
  Task<Tls> Trusted(Attempt& attempt);
  Task<StatusOr<Addresses>> Resolve(const HttpUrl& url, Attempt& attempt);
  // Returns a connection to the first address that accepts one; null, with the error in `result`, if none does.
  Task<std::unique_ptr<Connection>> NewConnection(const HttpUrl& url, Attempt& attempt, const HttpLimits& limits,
                                                  HttpResult& result);
  std::unique_ptr<Connection> IdleConnection(const std::string& key);
  void Keep(const std::string& key, std::unique_ptr<Connection> connection);
  void CloseOld();
  // Returns true if the request was sent, or enough of it that the server may have answered.
  Task<bool> WriteRequest(Connection& connection, Attempt& attempt, const HttpLimits& limits, std::string_view head,
                          std::string_view body, HttpResult& result);
  // Reads the answer and gives it to `sink`. Returns true if the connection may carry another request.
  Task<bool> ReadAnswer(Connection& connection, Attempt& attempt, ResponseReader& reader, const HttpLimits& limits,
                        HttpSink& sink, HttpResult& result);
  // Reads some bytes.
  Task<ResponseReader::State> ReadSome(Connection& connection, Attempt& attempt, ResponseReader& reader,
                                       HttpResult& result);

  Loop& loop_;
  Pool& pool_;
  const BeastClientOptions options_;
  std::shared_ptr<Trust> trust_;                                          // null until TLS is used
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> idle_;  // by scheme, host and port, newest last
  size_t idle_count_ = 0;
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
  Attempt attempt(loop_, limits);
  const std::string key = fmt::format("{} {} {}", url.tls, url.host, url.port);
  std::unique_ptr<Connection> connection = IdleConnection(key);
  result.reused_connection = connection != nullptr;
  if (connection == nullptr) connection = co_await NewConnection(url, attempt, limits, result);
  bool keep = false;
  if (connection != nullptr) {
    Connection& used = *connection;
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
  if (keep && !attempt.ended()) Keep(key, std::move(connection));
  co_return result;
}

Task<Tls> BeastClient::Trusted(Attempt& attempt) {
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

Task<StatusOr<BeastClient::Addresses>> BeastClient::Resolve(const HttpUrl& url, Attempt& attempt) {
  using Found = std::pair<error_code, Addresses>;
  if (url.host_is_address) {
    error_code error;
    const asio::ip::address address = asio::ip::make_address(url.host, error);
    if (!error) co_return Addresses{{address, static_cast<uint16_t>(std::stoi(url.port))}};
  }
  // The system's resolver can't be interrupted. If the attempt ends first, the resolver ends later and its result is
  // dropped.
  const auto found = std::make_shared<Promise<Found>>(loop_);
  const auto resolver = std::make_shared<asio::ip::tcp::resolver>(loop_.context());
  resolver->async_resolve(url.host, url.port,
                          [found, resolver](error_code error, asio::ip::tcp::resolver::results_type results) {
                            Found all{error, {}};
                            for (const auto& entry : results) all.second.push_back(entry.endpoint());
                            found->Set(std::move(all));
                          });
  attempt.OnEnd([found] { found->Set(Found{asio::error::operation_aborted, {}}); });
  co_await found->Wait();
  const auto& [error, addresses] = found->value();
  if (!error && !addresses.empty()) co_return addresses;
  co_return absl::UnavailableError(error.message());
}

Task<std::unique_ptr<Connection>> BeastClient::NewConnection(const HttpUrl& url, Attempt& attempt,
                                                             const HttpLimits& limits, HttpResult& result) {
  attempt.Limit(limits.connect, "the connection took too long");
  const StatusOr<Addresses> addresses = co_await Resolve(url, attempt);
  if (!addresses.ok()) {
    result.error = attempt.Why(fmt::format("{} can't be resolved: {}", url.host, MessageOf(addresses.status())));
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

Task<bool> BeastClient::WriteRequest(Connection& connection, Attempt& attempt, const HttpLimits& limits,
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

Task<bool> BeastClient::ReadAnswer(Connection& connection, Attempt& attempt, ResponseReader& reader,
                                   const HttpLimits& limits, HttpSink& sink, HttpResult& result) {
  using State = ResponseReader::State;
  const bool all_sent = result.error.empty();
  bool has_head = false;
  bool is_wanted = true;
  State state = State::kMore;
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

Task<ResponseReader::State> BeastClient::ReadSome(Connection& connection, Attempt& attempt, ResponseReader& reader,
                                                  HttpResult& result) {
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

std::unique_ptr<Connection> BeastClient::IdleConnection(const std::string& key) {
  const auto found = idle_.find(key);
  if (found == idle_.end()) return nullptr;
  auto& connections = found->second;
  std::unique_ptr<Connection> usable;
  while (!connections.empty() && usable == nullptr) {
    std::unique_ptr<Connection> last = std::move(connections.back());
    connections.pop_back();
    --idle_count_;
    if (last->used_at + options_.idle_max > loop_.Now() && last->IsQuiet()) usable = std::move(last);
  }
  if (connections.empty()) idle_.erase(found);
  return usable;
}

void BeastClient::Keep(const std::string& key, std::unique_ptr<Connection> connection) {
  if (idle_count_ >= kIdleMax) return;
  connection->used_at = loop_.Now();
  if (idle_count_ == 0) closing_ = loop_.CallAt(loop_.Now() + options_.idle_max, [this] { CloseOld(); });
  idle_[key].push_back(std::move(connection));
  ++idle_count_;
}

void BeastClient::CloseOld() {
  const TimePoint now = loop_.Now();
  for (auto host = idle_.begin(); host != idle_.end();) {
    auto& connections = host->second;
    idle_count_ -= std::erase_if(connections, [&](const std::unique_ptr<Connection>& connection) {
      return connection->used_at + options_.idle_max <= now;
    });
    host = connections.empty() ? idle_.erase(host) : std::next(host);
  }
  if (idle_count_ > 0) closing_ = loop_.CallAt(now + options_.idle_max / 2, [this] { CloseOld(); });
}

}  // namespace

std::unique_ptr<HttpClient> MakeBeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options) {
  return std::make_unique<BeastClient>(loop, pool, options);
}

}  // namespace millrace
