#include "server/llm/upkeeper.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

using backend::Errand;

constexpr Duration kPullAgainAfter = std::chrono::minutes(1);

// A server loads one model after the other, each for minutes, and sends no byte meanwhile.
constexpr CallTimeouts kLoadTimeouts{.connect = std::chrono::seconds(5),
                                     .first_byte = std::chrono::minutes(10),
                                     .idle = std::chrono::minutes(1),
                                     .total = std::chrono::minutes(10)};
// Answered at once; the end of a command waits for it.
constexpr CallTimeouts kUnloadTimeouts{.connect = std::chrono::seconds(5),
                                       .first_byte = std::chrono::seconds(5),
                                       .idle = std::chrono::seconds(5),
                                       .total = std::chrono::seconds(10)};
// The server reports its progress several times a second.
constexpr CallTimeouts kPullTimeouts{.connect = std::chrono::seconds(5),
                                     .first_byte = std::chrono::minutes(2),
                                     .idle = std::chrono::minutes(5),
                                     .total = std::chrono::hours(24)};

CallTimeouts TimeoutsOf(Errand errand) {
  if (errand == Errand::kPull) return kPullTimeouts;
  return errand == Errand::kUnload ? kUnloadTimeouts : kLoadTimeouts;
}

const char* NameOf(Errand errand) {
  switch (errand) {
    case Errand::kWarmUp:
      return "warm_up";
    case Errand::kUnload:
      return "unload";
    case Errand::kPull:
      return "pull";
  }
  return "";
}

// While a model is loaded, calls that have another target wait for it so long: as long as before the first byte of a
// cold server. A pull takes an hour.
constexpr Duration kPatience = Silence::kPatienceAtFirst;

Preparation::Others OthersDuring(Errand errand) {
  return errand == Errand::kPull ? Preparation::Others::kGoElsewhere : Preparation::Others::kWait;
}

}  // namespace

// The use of targets by one run.
class Upkeeper::Uses {
 public:
  Uses(Upkeeper& upkeeper, std::vector<Target*> targets) : upkeeper_(upkeeper), targets_(std::move(targets)) {
    for (Target* const target : targets_) upkeeper_.Begin(*target);
  }
  Uses(const Uses&) = delete;
  ~Uses() {
    for (Target* const target : targets_) upkeeper_.End(*target);
  }

 private:
  Upkeeper& upkeeper_;
  const std::vector<Target*> targets_;
};

// Moments of an errand: its deltas are its progress.
class Upkeeper::Progress final : public AttemptMoments {
 public:
  Progress(Target& target, State& state, Errand errand) : target_(target), state_(state), errand_(errand) {}

  Task<bool> Started() override { co_return false; }
  void Ended() override {}
  Task<void> Answered(RawAnswer) override { co_return; }
  void Delta(std::string_view text) override {
    state_.progress = text;
    target_.preparation().Describe(fmt::format("{} ({})", NameOf(errand_), text));
  }

 private:
  Target& target_;
  State& state_;
  const Errand errand_;
};

std::shared_ptr<void> Upkeeper::Use(std::vector<Target*> targets) {
  const auto wants_upkeep = [](const Target* target) {
    const backend::Upkeep& upkeep = target->manifest().upkeep;
    return upkeep.warms_up || upkeep.unloads;
  };
  std::erase_if(targets, [&](const Target* target) { return !wants_upkeep(target); });
  if (targets.empty()) return nullptr;
  return std::make_shared<Uses>(*this, std::move(targets));
}

void Upkeeper::Begin(Target& target) {
  State& state = states_[&target];
  ++state.runs;
  std::erase(state.wanted, Errand::kUnload);
  if (target.manifest().upkeep.warms_up) Want(target, Errand::kWarmUp);
  KeepWarmLater(target);
}

void Upkeeper::End(Target& target) {
  State& state = states_[&target];
  if (--state.runs > 0) return;
  state.keep_warm.Cancel();
  std::erase(state.wanted, Errand::kWarmUp);
  // No run needs the model to be loaded first. A load in flight continues, but holds nobody back.
  if (!state.is_pulling) Release(target);
  if (target.manifest().upkeep.unloads) Want(target, Errand::kUnload);
}

bool Upkeeper::Pull(Target& target) {
  if (!target.manifest().upkeep.pulls || is_draining_) return false;
  State& state = states_[&target];
  if (state.is_pulling) return true;
  if (state.has_pulled && loop_.Now() < state.pulled_at + kPullAgainAfter) return false;
  state.is_pulling = true;
  // A model must be there before it can be loaded.
  state.wanted.push_front(Errand::kPull);
  Want(target, Errand::kPull);
  return true;
}

std::string Upkeeper::PullProgress(const Target& target) const {
  const auto state = states_.find(&target);
  if (state == states_.end() || !state->second.is_pulling) return "";
  return state->second.progress.empty() ? "the model is being pulled" : state->second.progress;
}

void Upkeeper::Want(Target& target, Errand errand) {
  State& state = states_[&target];
  if (is_draining_ && errand != Errand::kUnload) return;
  if (std::find(state.wanted.begin(), state.wanted.end(), errand) == state.wanted.end()) state.wanted.push_back(errand);
  // Held back from here on: the call that follows must not be faster.
  if (errand != Errand::kUnload && !target.preparation().holds()) Hold(target, errand);
  if (state.is_busy) return;
  state.is_busy = true;
  ++busy_;
  loop_.Spawn(Tend(target));
}

void Upkeeper::Hold(Target& target, Errand errand) {
  target.preparation().Hold(NameOf(errand), OthersDuring(errand));
  states_[&target].patience = loop_.CallAt(loop_.Now() + kPatience, [this, &target] {
    target.preparation().SendElsewhere();
    queue_.NoteChange(target);
  });
  queue_.NoteChange(target);
}

void Upkeeper::Release(Target& target) {
  if (!target.preparation().holds()) return;
  states_[&target].patience.Cancel();
  target.preparation().Release();
  queue_.NoteChange(target);
}

void Upkeeper::KeepWarmLater(Target& target) {
  const Duration every = target.manifest().upkeep.keep_warm;
  State& state = states_[&target];
  if (every <= Duration::zero() || state.runs == 0 || is_draining_) return;
  const TimePoint at = std::max({target.last_used(), state.warm_at, loop_.Now() - every}) + every;
  state.keep_warm = loop_.CallAt(std::max(at, loop_.Now() + every / 10), [this, &target] { KeepWarm(target); });
}

void Upkeeper::KeepWarm(Target& target) {
  State& state = states_[&target];
  const Duration every = target.manifest().upkeep.keep_warm;
  const bool is_used = target.in_flight() > 0 || loop_.Now() < std::max(target.last_used(), state.warm_at) + every;
  if (!is_used && !state.is_busy && !is_draining_) {
    state.is_busy = true;
    ++busy_;
    state.wanted.push_back(Errand::kWarmUp);  // nothing is held back: the model is loaded
    loop_.Spawn(Tend(target));
  }
  KeepWarmLater(target);
}

Task<void> Upkeeper::Tend(Target& target) {
  State& state = states_[&target];
  while (!state.wanted.empty()) {
    const Errand errand = state.wanted.front();
    state.wanted.pop_front();
    if (errand == Errand::kPull) Hold(target, errand);
    if (errand == Errand::kWarmUp) target.preparation().Describe(NameOf(errand));
    const bool is_done = co_await Do(target, errand);
    if (errand == Errand::kPull) {
      state.is_pulling = false;
      state.progress.clear();
      state.has_pulled = true;
      state.pulled_at = loop_.Now();
      pulled_(target);
    }
    if (errand == Errand::kWarmUp && is_done) state.warm_at = loop_.Now();
    const bool has_more =
        std::any_of(state.wanted.begin(), state.wanted.end(), [](Errand wanted) { return wanted != Errand::kUnload; });
    if (!has_more) Release(target);
  }
  state.is_busy = false;
  --busy_;
  done_.NotifyAll();
  KeepWarmLater(target);
}

Task<bool> Upkeeper::Do(Target& target, Errand errand) {
  AttemptOrder order{.entry = &target.entry(), .question = {}, .timeouts = TimeoutsOf(errand)};
  order.exchange = target.entry().backend->StartErrand(errand, target.model());
  if (order.exchange == nullptr) co_return false;
  if (errand == Errand::kPull) spdlog::info("{}: pulling the model", target.Name());
  if (errand != Errand::kUnload) order.stop = stop_;
  Progress progress(target, states_[&target], errand);
  const TimePoint begin = loop_.Now();
  const AttemptResult result = co_await sender_.Send(std::move(order), progress);
  const double seconds = std::chrono::duration<double>(loop_.Now() - begin).count();
  if (const auto* failure = std::get_if<backend::Failure>(&result)) {
    if (failure->outcome == backend::Outcome::kCancelled) co_return false;  // the server is going down
    spdlog::warn("{}: {} failed after {:.1f} s: {}", target.Name(), NameOf(errand), seconds, failure->message);
    co_return false;
  }
  spdlog::info("{}: {} took {:.1f} s", target.Name(), NameOf(errand), seconds);
  co_return true;
}

Task<void> Upkeeper::Drain(TimePoint deadline) {
  is_draining_ = true;
  stop_->Stop();
  while (busy_ > 0) {
    const bool woken = co_await done_.WaitUntil(deadline);
    if (!woken) co_return;
  }
}

}  // namespace millrace
