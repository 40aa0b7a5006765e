#include "server/api/rpc.h"

#include <algorithm>
#include <chrono>

namespace millrace::api {

Status RpcHost::Admit() const {
  const std::lock_guard lock(mutex_);
  return admission_;
}

void RpcHost::SetReady() {
  const std::lock_guard lock(mutex_);
  admission_ = absl::OkStatus();
}

void RpcHost::EndAll(const Status& status) {
  std::vector<std::shared_ptr<LiveRpc>> live;
  {
    const std::lock_guard lock(mutex_);
    admission_ = status;
    for (LiveRpc* rpc : live_) live.push_back(rpc->shared_from_this());
  }
  // Outside the lock, since an RPC that ends removes itself.
  for (const std::shared_ptr<LiveRpc>& rpc : live) rpc->End(status);
}

void RpcHost::AwaitAnswers(const Status& status, Duration patience, Answers answers) {
  std::unique_lock lock(mutex_);
  admission_ = status;
  const auto is_awaited = [answers](const LiveRpc* rpc) {
    return rpc->at_end() == AtEnd::kAnswer && (answers == Answers::kAll || rpc->is_sending());
  };
  removed_.wait_for(lock, patience, [&] { return std::none_of(live_.begin(), live_.end(), is_awaited); });
}

void RpcHost::Add(LiveRpc& rpc) {
  const std::lock_guard lock(mutex_);
  live_.insert(&rpc);
}

void RpcHost::Remove(LiveRpc& rpc) {
  const std::lock_guard lock(mutex_);
  live_.erase(&rpc);
  removed_.notify_all();
}

TimePoint DeadlineOf(const grpc::CallbackServerContext& context, const Clock& clock) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return kNever;
  const auto left = std::chrono::duration_cast<Duration>(deadline - std::chrono::system_clock::now());
  // The sum would overflow the clock for deadlines in the far future.
  if (left > std::chrono::hours(24 * 365 * 100)) return kNever;
  return clock.Now() + left;
}

}  // namespace millrace::api
