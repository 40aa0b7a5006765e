#include "server/api/relay.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace millrace::api {
namespace {

// Rounds of one call, so that a fast client does not keep the others waiting.
constexpr int kRoundsMax = 8;
constexpr size_t kBytes = 64 << 10;

bool IsTransient(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Relay::Verdict Relay::Move(TimePoint now) {
  const bool whole = Pump(client(), inner(), in_, &guard_, now) && Pump(inner(), client(), out_, nullptr, now);
  if (fault_ != nullptr) return Verdict::kCut;
  // An HTTP/2 connection is over once one side has ended.
  const bool over = !whole || (in_.ended && in_.waiting.empty()) || (out_.ended && out_.waiting.empty());
  return over ? Verdict::kOver : Verdict::kGoOn;
}

bool Relay::Pump(int from, int to, Flow& flow, FrameGuard* guard, TimePoint now) {
  // Shared by all connections, so that an idle one needs no memory.
  thread_local std::array<char, kBytes> buffer;
  for (int round = 0; round < kRoundsMax; ++round) {
    std::string_view bytes = flow.waiting;
    if (bytes.empty()) {
      if (flow.ended) return true;
      const ssize_t got = recv(from, buffer.data(), buffer.size(), 0);
      if (got < 0) return IsTransient(errno);
      if (got == 0) {
        flow.ended = true;
        return true;
      }
      bytes = {buffer.data(), static_cast<size_t>(got)};
      if (guard != nullptr) fault_ = guard->Feed(bytes, now);
      if (fault_ != nullptr) return false;
    }
    const ssize_t sent = send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && !IsTransient(errno)) return false;
    bytes.remove_prefix(sent < 0 ? 0 : static_cast<size_t>(sent));
    flow.waiting = std::string(bytes);
    if (!bytes.empty()) return true;
  }
  return true;
}

uint32_t Relay::ClientEvents() const {
  return (in_.waiting.empty() && !in_.ended ? EPOLLIN : 0u) | (out_.waiting.empty() ? 0u : EPOLLOUT);
}

uint32_t Relay::InnerEvents() const {
  return (out_.waiting.empty() && !out_.ended ? EPOLLIN : 0u) | (in_.waiting.empty() ? 0u : EPOLLOUT);
}

}  // namespace millrace::api
