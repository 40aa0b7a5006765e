#include "server/llm/call_in_flight.h"

#include <algorithm>

namespace millrace {

bool CallTrouble::Note(const backend::Failure& failure, const Target& target) {
  failure_ = failure;
  failing_ = &target;
  return !std::exchange(has_failed_, true);
}

bool PartialText::Begin() {
  if (!text_.empty()) waiters_.RestartDeltas();
  text_.clear();
  is_wanted_ = waiters_.HasDeltaSink();
  return is_wanted_;
}

void PartialText::Add(std::string_view delta) {
  if (!is_wanted_) return;
  text_ += delta;
  waiters_.GiveDelta(delta);
}

void PartialText::Join(const CallContext& context) const {
  if (context.deltas && !text_.empty()) context.deltas->Delta(text_);
}

void CallInFlight::StopStream() {
  if (stop_) stop_->Stop();
}

void CallInFlight::BeginAttempt(const Digest& call_key, TimePoint now) {
  asked_key_ = call_key;
  first_attempt_ = std::min(first_attempt_, now);
}

bool CallInFlight::HasClaimed(const Digest& call_key) const {
  return std::any_of(claims_.begin(), claims_.end(), [&](const auto& claim) { return claim->Has(call_key); });
}

void CallInFlight::Finish(bool has_ended) {
  is_finished_ = has_ended;
  if (waiters.empty()) return;
  const CallWaiter& payer = waiters.payer();
  payer_ = &payer;
  settled_for_ = {.run = payer.context.run, .remember = payer.context.remember};
  waiters.WakeAll();
}

std::shared_ptr<CallInFlight> CallTable::Find(const Digest& key) const {
  const auto found = calls_.find(key);
  return found == calls_.end() ? nullptr : found->second;
}

void CallTable::Add(std::shared_ptr<CallInFlight> call) {
  const Digest& key = call->question.key;
  calls_.emplace(key, std::move(call));
}

void CallTable::Remove(const Digest& key) { calls_.erase(key); }

void CallTable::WakeAll() {
  for (const auto& [key, call] : calls_) call->changed.NotifyAll();
}

}  // namespace millrace
