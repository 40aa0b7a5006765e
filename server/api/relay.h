// The two ends of a client's connection, ours and gRPC's, and the bytes on their way between them: bounded, in order,
// and looked at by the frame guard.
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

  // Moves what can be moved now.
  enum class Verdict { kGoOn, kOver, kCut };
  Verdict Move(TimePoint now);
  // Why it was cut.
  const char* fault() const { return fault_; }

  // What to wait for, as epoll events.
  uint32_t ClientEvents() const;
  uint32_t InnerEvents() const;
  // The events that were last asked for; kept by whoever waits.
  uint32_t asked_client = 0;
  uint32_t asked_inner = 0;

 private:
  // One direction.
  struct Flow {
    std::string waiting;  // bytes that the other side did not take yet; nothing more is read before it has
    bool ended = false;   // the source will send no more
  };

  // Reads where there is room, writes what is there. False: the connection is broken.
  bool Pump(int from, int to, Flow& flow, FrameGuard* guard, TimePoint now);

  UniqueFd client_;
  UniqueFd inner_;
  Flow in_;
  Flow out_;
  FrameGuard guard_;
  const char* fault_ = nullptr;
};

}  // namespace millrace::api
