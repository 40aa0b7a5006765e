#include "server/api/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace millrace::api {
namespace {

constexpr int kLookEveryMs = 50;
// What any call may need besides its message: headers up to gRPC's limit, and framing.
constexpr uint64_t kCreditPerMessage = 8 << 10;
// Flow control answers what we send: a reader of many small messages sends at most a quarter of what it gets.
constexpr uint64_t kCreditPerBytesSent = 4;
// Pings of an idle client, and calls that reach no service, per look.
constexpr uint64_t kCreditPerLook = 64;
// Two descriptors a connection, and these stay for the store, backends and files.
constexpr int kFdsKept = 128;

UniqueFd OpenSpare() { return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// The peer's address as gRPC writes it; empty for a unix socket.
std::string PeerOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return fmt::format("ipv4:{}:{}", text, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return fmt::format("ipv6:%5B{}%5D:{}", text, ntohs(v6.sin6_port));
  }
  return "";
}

bool OutOfDescriptors(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

int ConnectionsUnderFdLimit(int wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  const int64_t room = (static_cast<int64_t>(limit.rlim_cur) - kFdsKept) / 2;
  return static_cast<int>(std::clamp<int64_t>(room, 4, wanted));
}

Acceptor::Acceptor(std::vector<Listener> listeners, AcceptorLimits limits, HandOver hand_over)
    : listeners_(std::move(listeners)),
      limits_(limits),
      hand_over_(std::move(hand_over)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      spare_(OpenSpare()),
      thread_([this] { Run(); }) {}

Acceptor::~Acceptor() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Acceptor::Credit(const std::string& peer, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = credit_.find(peer);
  if (found != credit_.end()) found->second += bytes + kCreditPerMessage;
}

AcceptorFigures Acceptor::Figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void Acceptor::Run() {
  std::vector<pollfd> polled;
  while (true) {
    polled.clear();
    polled.push_back({wake_.get(), POLLIN, 0});
    // Without a descriptor to accept with, the listeners would wake it again at once.
    const bool starved = !spare_;
    const short wanted = starved ? 0 : POLLIN;
    for (const Listener& listener : listeners_) polled.push_back({listener.fd(), wanted, 0});
    bool any_tcp = starved;
    for (const Watched& watched : watched_) {
      polled.push_back({watched.fd.get(), 0, 0});  // only its end is of interest
      any_tcp |= watched.is_tcp;
    }
    poll(polled.data(), polled.size(), any_tcp ? kLookEveryMs : -1);
    {
      const std::lock_guard lock(mutex_);
      if (stopped_) return;
    }
    Look();
    if (starved) spare_ = OpenSpare();
    for (size_t i = 0; i < listeners_.size(); ++i) {
      if (polled[i + 1].revents != 0) AcceptAll(listeners_[i]);
    }
  }
}

void Acceptor::AcceptAll(const Listener& listener) {
  // Bounded, so that a flood of connections does not keep the looks from happening.
  for (int i = 0; i < 64; ++i) {
    UniqueFd fd(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && OutOfDescriptors(errno)) {
      spare_.Reset();
      fd.Reset(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      const bool closed = static_cast<bool>(fd);
      fd.Reset();
      spare_ = OpenSpare();
      const std::lock_guard lock(mutex_);
      figures_.refused += closed ? 1 : 0;
      if (!closed || !spare_) return;
      continue;
    }
    if (!fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return;
    }
    TakeOver(listener, std::move(fd));
  }
}

void Acceptor::TakeOver(const Listener& listener, UniqueFd fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  Watched watched;
  watched.is_tcp = !listener.is_unix();
  bool fits = static_cast<int>(watched_.size()) < limits_.connections_max;
  if (fits) {
    watched.fd.Reset(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    fits = watched.fd && getpeername(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0;
  }
  if (!fits) {
    const std::lock_guard lock(mutex_);
    ++figures_.refused;
    return;
  }
  if (watched.is_tcp) {
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watched.peer = PeerOf(address);
  }
  {
    const std::lock_guard lock(mutex_);
    if (watched.is_tcp) credit_[watched.peer] = 0;
    ++figures_.accepted;
    ++figures_.open;
  }
  watched_.push_back(std::move(watched));
  hand_over_(listener.fd(), fd.Release());
}

void Acceptor::Look() {
  for (size_t i = 0; i < watched_.size();) {
    Watched& watched = watched_[i];
    // The credit is read before the bytes: what it stands for has surely been counted then.
    uint64_t credit = kCreditPerLook;
    if (watched.is_tcp) {
      const std::lock_guard lock(mutex_);
      credit += std::exchange(credit_[watched.peer], 0);
    }
    pollfd end{watched.fd.get(), 0, 0};
    bool gone = poll(&end, 1, 0) > 0 && (end.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    bool cut = false;
    const std::optional<TcpTraffic> traffic = watched.is_tcp && !gone ? TrafficOf(watched.fd.get()) : std::nullopt;
    if (traffic) {
      credit += (traffic->acknowledged - watched.traffic.acknowledged) / kCreditPerBytesSent;
      const uint64_t total = watched.unaccounted + (traffic->received - watched.traffic.received);
      // Credit is never saved up: otherwise cheap calls would buy an expensive flood.
      watched.unaccounted = total > credit ? total - credit : 0;
      watched.traffic = *traffic;
      cut = watched.unaccounted > limits_.unaccounted_bytes_max;
    }
    if (!gone && !cut) {
      ++i;
      continue;
    }
    if (cut) {
      // A reset, not an orderly end: what has arrived and was not read yet must not be worked on.
      const linger now{1, 0};
      setsockopt(watched.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
      shutdown(watched.fd.get(), SHUT_RDWR);
    }
    const std::lock_guard lock(mutex_);
    credit_.erase(watched.peer);
    figures_.cut += cut ? 1 : 0;
    --figures_.open;
    watched_.erase(watched_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace millrace::api
