// A relayed connection: the client's end, gRPC's end, and the bytes in flight between them, which are bounded, in
// order, and checked by the frame guard.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "server/api/frame_guard.h"
#include "server/base/fd.h"

namespace millrace::api {

// One thread. Both descriptors are non-blocking.
class Relay {
 public:
  Relay(UniqueFd client, UniqueFd inner) : client_(std::move(client)), inner_(std::move(inner)) {}

  int client() const { return client_.get(); }
  int inner() const { return inner_.get(); }

  // Moves the bytes that can be moved now. Says whether the relay goes on, is over, or must be cut.
  enum class Verdict { kGoOn, kOver, kCut };
  Verdict Move(TimePoint now);
  // Why the connection was cut; null if it was not.
  const char* fault() const { return fault_; }

  // The events to wait for, of epoll.
  uint32_t ClientEvents() const;
  uint32_t InnerEvents() const;
  // The events last asked for. Written by the waiter.
  uint32_t asked_client = 0;
  uint32_t asked_inner = 0;

 private:
  // One direction.
  struct Flow {
    std::string waiting;  // bytes that the other side has not taken yet; no more are read until it has
    bool ended = false;   // the source sends no more
  };

  // Moves bytes until one side would block. False: the connection is broken, or the guard found a fault.
  bool Pump(int from, int to, Flow& flow, FrameGuard* guard, TimePoint now);

  UniqueFd client_;
  UniqueFd inner_;
  Flow in_;
  Flow out_;
  FrameGuard guard_;
  const char* fault_ = nullptr;
};

}  // namespace millrace::api
