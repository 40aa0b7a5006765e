#include "server/api/acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "server/base/descriptors.h"

namespace millrace::api {
namespace {

constexpr int kFdsPerConnection = 3;
// How long it waits for events while it finishes, or while it has no spare descriptor.
constexpr int kShortWaitMs = 20;
// Tags of what is polled: the wake-up, then listeners, then the two ends of relays.
constexpr uint64_t kWakeTag = 0;
constexpr uint64_t kFirstRelay = 1000;

UniqueFd OpenSpare() { return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool OutOfDescriptors(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

int ConnectionsUnderFdLimit(int wanted) {
  const int64_t room = DivideDescriptors(DescriptorLimit()).incoming / kFdsPerConnection;
  return static_cast<int>(std::clamp<int64_t>(room, 4, wanted));
}

Acceptor::Acceptor(std::vector<Listener> listeners, int connections_max, const Clock& clock, HandOver hand_over)
    : listeners_(std::move(listeners)),
      connections_max_(connections_max),
      clock_(clock),
      hand_over_(std::move(hand_over)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      poll_(epoll_create1(EPOLL_CLOEXEC)),
      spare_(OpenSpare()),
      last_id_(kFirstRelay),
      thread_([this] { Run(); }) {}

Acceptor::~Acceptor() {
  SetPhase(Phase::kFinish, TimePoint::min());
  if (thread_.joinable()) thread_.join();
}

void Acceptor::StopListening() { SetPhase(Phase::kRelay, kNever); }

void Acceptor::Finish(Duration patience) {
  SetPhase(Phase::kFinish, clock_.Now() + patience);
  thread_.join();
}

void Acceptor::SetPhase(Phase phase, TimePoint finish_by) {
  {
    const std::lock_guard lock(mutex_);
    phase_ = phase;
    finish_by_ = finish_by;
  }
  eventfd_write(wake_.get(), 1);
}

AcceptorFigures Acceptor::Figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

void Acceptor::Run() {
  uint32_t asked_wake = 0;
  Watch(wake_.get(), kWakeTag, EPOLLIN, asked_wake);
  std::vector<uint32_t> asked(listeners_.size());
  std::vector<epoll_event> events(256);
  while (true) {
    Phase phase;
    TimePoint finish_by;
    {
      const std::lock_guard lock(mutex_);
      phase = phase_;
      finish_by = finish_by_;
    }
    if (phase != Phase::kListen) listeners_.clear();
    if (phase == Phase::kFinish && (relays_.empty() || clock_.Now() >= finish_by)) break;

    // Without a descriptor to accept with, a watched listener would wake this thread again and again.
    if (!spare_) spare_ = OpenSpare();
    for (size_t i = 0; i < listeners_.size(); ++i)
      Watch(listeners_[i].fd(), i + 1, spare_ ? uint32_t{EPOLLIN} : 0, asked[i]);
    const int wait = phase == Phase::kFinish || !spare_ ? kShortWaitMs : -1;
    const int count = epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), wait);
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
      if (tag == kWakeTag) {
        eventfd_t ignored = 0;
        eventfd_read(wake_.get(), &ignored);
      } else if (tag <= listeners_.size()) {
        Accept(listeners_[tag - 1]);
      } else {
        Serve(tag);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  relays_.clear();
  figures_.open = 0;
}

void Acceptor::Watch(int fd, uint64_t tag, uint32_t events, uint32_t& asked) {
  // epoll reports an end or an error even if no event is asked for: such a descriptor is not watched at all.
  const int operation = asked == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (asked == events) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  epoll_ctl(poll_.get(), operation, fd, &event);
  asked = events;
}

void Acceptor::Accept(const Listener& listener) {
  // Bounded, so that a flood of new connections does not keep the open ones waiting.
  for (int i = 0; i < 64 && spare_; ++i) {
    UniqueFd fd(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && OutOfDescriptors(errno)) {
      spare_.Reset();
      fd.Reset(accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      const bool closed = static_cast<bool>(fd);
      fd.Reset();
      spare_ = OpenSpare();
      const std::lock_guard lock(mutex_);
      figures_.refused += closed ? 1 : 0;
      if (!closed) return;
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
  int pair[2] = {-1, -1};
  if (static_cast<int>(relays_.size()) >= connections_max_ ||
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    const std::lock_guard lock(mutex_);
    ++figures_.refused;
    return;
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on a unix socket, which needs none
  // An even number is the client's end; the odd one after it is gRPC's end.
  const uint64_t id = last_id_ += 2;
  const auto [entry, added] = relays_.emplace(id, std::make_unique<Relay>(std::move(fd), UniqueFd(pair[0])));
  {
    const std::lock_guard lock(mutex_);
    ++figures_.accepted;
    ++figures_.open;
  }
  hand_over_(listener.fd(), pair[1]);
  Serve(entry->first);
}

void Acceptor::Serve(uint64_t tag) {
  const uint64_t id = tag & ~uint64_t{1};
  const auto found = relays_.find(id);
  if (found == relays_.end()) return;  // an earlier event ended it
  Relay& relay = *found->second;
  const Relay::Verdict verdict = relay.Move(clock_.Now());
  if (verdict == Relay::Verdict::kGoOn) {
    Watch(relay.client(), id, relay.ClientEvents(), relay.asked_client);
    Watch(relay.inner(), id + 1, relay.InnerEvents(), relay.asked_inner);
    return;
  }
  if (verdict == Relay::Verdict::kCut) spdlog::warn("cut a connection: {}", relay.fault());
  relays_.erase(found);
  const std::lock_guard lock(mutex_);
  figures_.cut += verdict == Relay::Verdict::kCut ? 1 : 0;
  --figures_.open;
}

}  // namespace millrace::api
