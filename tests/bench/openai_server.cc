// Loopback server of OpenAI's chat completions, for benchmarks and kill tests. It holds each call for a given time,
// thousands of calls at once on one thread, and writes a ledger of the calls. A streamed answer has its first words at
// once and the rest after that time.
//
// The ledger is text. NUMBER counts requests from 1, NANOSECONDS is a time of CLOCK_MONOTONIC. Lines:
// - `request NUMBER NANOSECONDS SHA256`: written before a request is held, with the time of its last byte and the
//   digest of its body.
// - `answer NUMBER NANOSECONDS STATUS`: the answer was sent.
// - `cut NUMBER NANOSECONDS`: the server closed the connection instead of an answer.
// - `gone NUMBER NANOSECONDS`: the client had closed the connection before the answer.
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/base/random.h"
#include "tests/bench/openai_answers.h"

namespace millrace {
namespace {

struct Options {
  int port = 0;
  double hold_ms = 0;
  int answer_bytes = 200;
  double fail_share = 0;
  std::vector<std::string> faults = {"500", "wait", "cut"};
  uint64_t seed = 1;
  std::string ledger;
  bool sync = false;
};

int64_t Now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// Returns the beginning of the value of the header `name`, in any case; null if `head` has no such header.
const char* HeaderValue(const std::string& head, const char* name) {
  const char* const found = ::strcasestr(head.c_str(), fmt::format("\r\n{}:", name).c_str());
  if (found == nullptr) return nullptr;
  const char* value = found + std::strlen(name) + 3;
  while (*value == ' ') ++value;
  return value;
}

std::string Hex(const unsigned char* digest) {
  std::string hex;
  for (int i = 0; i < SHA256_DIGEST_LENGTH; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

class Server {
 public:
  explicit Server(const Options& options);
  // Serves until SIGTERM or SIGINT.
  void Run();
  int port() const { return port_; }

 private:
  struct Client {
    std::string in;
    std::string out;
    bool waits_to_send = false;
    int64_t held = 0;        // number of the request whose answer it waits for; 0: none
    int64_t flood_left = 0;  // bytes of a flood that are not written yet
  };
  // A request that is held. All are held for one duration, so they are answered in the order of their arrival.
  struct Held {
    int64_t number;
    int64_t until;
    int socket;
    std::string digest;
    bool streams = false;  // the request asks for a stream, whose first words were sent
  };
  // A client that gets one byte a second.
  struct Drip {
    int64_t until;
    int socket;
    int64_t number;  // of the request
  };

  void Accept();
  void Read(int socket);
  bool TakeRequest(int socket, Client& client);
  void AnswerDue(int64_t now);
  void Answer(const Held& held);
  // Returns the fault that the next answer has; empty: none.
  std::string DrawFault();
  // Treats a client as `fault` says, if that is more than an answer of other bytes.
  bool Mistreat(const Held& held, const std::string& fault, Client& client);
  void DripDue(int64_t now);
  void Send(int socket, Client& client);
  void Drop(int socket);
  void WriteLedger();
  void Watch(int fd, uint32_t events);
  void SetTimer();

  const Options options_;
  const int64_t hold_;
  int port_ = 0;
  int epoll_ = -1;
  int listener_ = -1;
  int timer_ = -1;
  int signals_ = -1;
  int ledger_ = -1;
  Random random_;
  std::string lines_;
  std::unordered_map<int, Client> clients_;
  std::deque<Held> held_;
  std::deque<Drip> drips_;
  int64_t hung_ = 0;
  int64_t requests_ = 0;
  int64_t answers_ = 0;
  size_t held_most_ = 0;
};

Server::Server(const Options& options)
    : options_(options), hold_(static_cast<int64_t>(options.hold_ms * 1e6)), random_(options.seed) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (!options.ledger.empty()) {
    ledger_ = ::open(options.ledger.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (ledger_ < 0) throw std::runtime_error(fmt::format("{}: {}", options.ledger, std::strerror(errno)));
  }
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options.port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 4096) != 0) {
    throw std::runtime_error(fmt::format("port {}: {}", options.port, std::strerror(errno)));
  }
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  signals_ = ::signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
  for (const int fd : {listener_, timer_, signals_}) Watch(fd, EPOLLIN);
}

void Server::Watch(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void Server::Run() {
  std::vector<epoll_event> events(1024);
  while (true) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == signals_) {
        WriteLedger();
        fmt::print("{} requests, {} answers, {} at once at most, {} hung\n", requests_, answers_, held_most_, hung_);
        return;
      }
      if (fd == listener_) {
        Accept();
      } else if (fd == timer_) {
        uint64_t times = 0;
        [[maybe_unused]] const ssize_t read = ::read(timer_, &times, sizeof times);
      } else if ((events[static_cast<size_t>(i)].events & EPOLLOUT) != 0) {
        if (const auto client = clients_.find(fd); client != clients_.end()) Send(fd, client->second);
      } else {
        Read(fd);
      }
    }
    WriteLedger();  // the requests of this turn, before any of them can be answered
    AnswerDue(Now());
    DripDue(Now());
    WriteLedger();
    SetTimer();
  }
}

void Server::Accept() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    clients_[socket];
    Watch(socket, EPOLLIN);
  }
}

void Server::Read(int socket) {
  const auto client = clients_.find(socket);
  if (client == clients_.end()) return;
  char bytes[16 << 10];
  const ssize_t size = ::recv(socket, bytes, sizeof bytes, 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) return Drop(socket);
  client->second.in.append(bytes, static_cast<size_t>(size));
  if (!TakeRequest(socket, client->second)) Drop(socket);
}

// Takes a request if it is complete. Returns false if the client sends something that this server does not understand.
bool Server::TakeRequest(int socket, Client& client) {
  constexpr size_t kHeadMax = 64 << 10;
  const size_t end = client.in.find("\r\n\r\n");
  if (end == std::string::npos) return client.in.size() < kHeadMax;
  if (client.held != 0) return false;  // the client did not wait for its answer
  const std::string head = client.in.substr(0, end + 2);
  size_t length = 0;
  if (const char* value = HeaderValue(head, "Content-Length")) length = std::strtoul(value, nullptr, 10);
  if (client.in.size() < end + 4 + length) return true;
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(client.in.data()) + end + 4, length, digest);
  const std::string body = client.in.substr(end + 4, length);
  const bool streams = body.find(R"("stream":true)") != std::string::npos;
  client.in.erase(0, end + 4 + length);
  const int64_t now = Now();
  client.held = ++requests_;
  held_.push_back(
      {.number = requests_, .until = now + hold_, .socket = socket, .digest = Hex(digest), .streams = streams});
  held_most_ = std::max(held_most_, held_.size());
  lines_ += fmt::format("request {} {} {}\n", requests_, now, held_.back().digest);
  if (streams) {
    client.out += StreamBegin();
    Send(socket, client);
  }
  return true;
}

void Server::AnswerDue(int64_t now) {
  while (!held_.empty() && held_.front().until <= now) {
    const Held held = std::move(held_.front());
    held_.pop_front();
    Answer(held);
  }
}

void Server::Answer(const Held& held) {
  const auto found = clients_.find(held.socket);
  if (found == clients_.end() || found->second.held != held.number) {
    lines_ += fmt::format("gone {} {}\n", held.number, Now());
    return;
  }
  Client& client = found->second;
  client.held = 0;
  const std::string fault = DrawFault();
  if (Mistreat(held, fault, client)) return;
  int status = 200;
  const bool cut = fault == "cut" || (held.streams && !fault.empty());
  const AnswerToMake answer{
      .number = held.number, .digest = held.digest, .text_bytes = options_.answer_bytes, .fault = fault};
  client.out += held.streams ? StreamRest(answer) : WholeAnswer(answer, status);
  Send(held.socket, client);
  ++answers_;
  lines_ += cut ? fmt::format("cut {} {}\n", held.number, Now())
                : fmt::format("answer {} {} {}\n", held.number, Now(), status);
  if (cut) Drop(held.socket);
}

std::string Server::DrawFault() {
  const double drawn = random_.Uniform();
  if (drawn >= options_.fail_share) return "";
  const auto count = static_cast<double>(options_.faults.size());
  return options_
      .faults[std::min(static_cast<size_t>(drawn / options_.fail_share * count), options_.faults.size() - 1)];
}

bool Server::Mistreat(const Held& held, const std::string& fault, Client& client) {
  constexpr int64_t kFloodBytes = 10'000'000'000;
  if (fault == "hang") {
    ++hung_;
  } else if (fault == "reset") {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(held.socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    lines_ += fmt::format("cut {} {}\n", held.number, Now());
    Drop(held.socket);
  } else if (fault == "drip") {
    client.held = held.number;
    if (!held.streams) client.out += ChunkedHead("application/json");
    drips_.push_back({.until = Now(), .socket = held.socket, .number = held.number});
    Send(held.socket, client);
  } else if (fault == "flood") {
    if (!held.streams) client.out += ChunkedHead("application/json");
    client.flood_left = kFloodBytes;
    Send(held.socket, client);
  } else {
    return false;
  }
  return true;
}

void Server::DripDue(int64_t now) {
  constexpr int64_t kSecond = 1'000'000'000;
  while (!drips_.empty() && drips_.front().until <= now) {
    Drip drip = drips_.front();
    drips_.pop_front();
    const auto client = clients_.find(drip.socket);
    if (client == clients_.end() || client->second.held != drip.number) continue;
    client->second.out += Chunk(" ");
    Send(drip.socket, client->second);
    drip.until += kSecond;
    drips_.push_back(drip);
  }
}

void Server::Send(int socket, Client& client) {
  constexpr int64_t kFloodPiece = 60'000;
  if (client.flood_left > 0 && client.out.size() < kFloodPiece) {
    client.out += Chunk(std::string(kFloodPiece, ' '));
    client.flood_left -= kFloodPiece;
  }
  const ssize_t size = ::send(socket, client.out.data(), client.out.size(), MSG_NOSIGNAL);
  if (size > 0) client.out.erase(0, static_cast<size_t>(size));
  if (size < 0 && errno != EAGAIN) return Drop(socket);
  const bool waits = !client.out.empty() || client.flood_left > 0;
  if (waits != client.waits_to_send) Watch(socket, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
  client.waits_to_send = waits;
}

void Server::Drop(int socket) {
  if (clients_.erase(socket) > 0) ::close(socket);
}

void Server::WriteLedger() {
  if (ledger_ >= 0) {
    for (std::string_view left = lines_; !left.empty();) {
      const ssize_t written = ::write(ledger_, left.data(), left.size());
      if (written <= 0) throw std::runtime_error(fmt::format("the ledger can't be written: {}", std::strerror(errno)));
      left.remove_prefix(static_cast<size_t>(written));
    }
    if (options_.sync && !lines_.empty()) ::fdatasync(ledger_);
  }
  lines_.clear();
}

void Server::SetTimer() {
  itimerspec when{};
  int64_t next = held_.empty() ? 0 : held_.front().until;
  if (!drips_.empty() && (next == 0 || drips_.front().until < next)) next = drips_.front().until;
  when.it_value.tv_sec = next / 1'000'000'000;
  when.it_value.tv_nsec = next % 1'000'000'000;
  ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  millrace::Options options;
  CLI::App app("An OpenAI-like server on the loopback interface, for benchmarks and tests.");
  app.add_option("--port", options.port, "Port; 0: a free one, which is printed");
  app.add_option("--hold-ms", options.hold_ms, "How long each call is held, in milliseconds");
  app.add_option("--answer-bytes", options.answer_bytes, "Bytes of an answer's text");
  app.add_option("--fail-share", options.fail_share, "Share of calls that have a fault");
  app.add_option(
         "--faults", options.faults,
         "Faults, equally often: 500, 503, 429, wait (429 with Retry-After), cut, reset, hang, garbage (bad JSON), "
         "drip (a byte a second), flood (10 GB)")
      ->delimiter(',')
      ->check(CLI::IsMember({"500", "503", "429", "wait", "cut", "reset", "hang", "garbage", "drip", "flood"}));
  app.add_option("--seed", options.seed, "Seed of what fails");
  app.add_option("--ledger", options.ledger, "File that takes a line for each request before it is held");
  app.add_flag("--sync", options.sync, "Sync the ledger before a request is held");
  CLI11_PARSE(app, argc, argv);
  try {
    millrace::Server server(options);
    fmt::print("listening on port {}\n", server.port());
    std::fflush(stdout);
    server.Run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
  return 0;
}
