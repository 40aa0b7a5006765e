#include "server/base/loop.h"

#include <time.h>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>

#include "server/base/histogram.h"

namespace millrace {

namespace asio = boost::asio;

// Ready coroutines run first, so that the work that one event began is finished before the next event is handled. After
// at most this many in a row, timers, posted functions and sockets get as many turns; after this many posted functions
// in a row, a socket gets one.
constexpr int kBurstMax = 16;
// Turns shorter than this are counted with their wall time instead of their CPU time.
constexpr Duration kShortTurn = std::chrono::microseconds(100);

struct Loop::TimerTable {
  std::map<std::pair<TimePoint, uint64_t>, absl::AnyInvocable<void()>> timers;
  uint64_t count = 0;
};

// One suspended wait for an event. The loop's lists own it until it is resumed or abandoned.
struct Loop::Waiter {
  explicit Waiter(asio::any_completion_handler<void(bool)> resume) : handler(std::move(resume)) {}

  asio::any_completion_handler<void(bool)> handler;
  std::list<Waiter*>::iterator in_loop;
  Event* event = nullptr;  // null once the event is gone
  std::list<Waiter*>::iterator in_event;
  Timer deadline;

  void Unlink() {
    if (event != nullptr) event->waiting_.erase(in_event);
    event = nullptr;
  }
};

// Functions posted by any thread.
struct Loop::Inbox {
  struct Posted {
    TimePoint at;
    absl::AnyInvocable<void()> function;
  };

  std::mutex mutex;            // also keeps the context alive while it is held
  std::vector<Posted> posted;  // guarded by mutex
  bool asleep = false;         // guarded by mutex; true while the loop waits for sockets and must be woken
  std::atomic<bool> has_posted{false};
  std::deque<Posted> taken;  // the loop's thread only
};

struct Loop::Figuring {
  explicit Figuring(asio::io_context& context) : keep_running(asio::make_work_guard(context)) {}

  asio::executor_work_guard<asio::io_context::executor_type> keep_running;
  Histogram handler_cpu;
  Histogram lag;
  Duration cpu{};

  static Duration Read(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return Duration(time.tv_sec * 1'000'000'000LL + time.tv_nsec);
  }

  void Begin() {
    cpu_mark_ = Read(CLOCK_THREAD_CPUTIME_ID);
    wall_mark_ = Read(CLOCK_MONOTONIC);
    short_turns_ = Duration(0);
  }

  // Counts a turn that has ended and may have begun with a wait.
  void NoteTurn() {
    const Duration spent_before = short_turns_;
    const Duration mark = cpu_mark_;
    Begin();
    cpu += cpu_mark_ - mark;
    handler_cpu.Add(std::max(cpu_mark_ - mark - spent_before, Duration(0)));
  }

  // Counts a turn that has ended and began when the previous one ended. To read the CPU time of a thread is a system
  // call, to read the machine's clock is not. A turn's CPU time is at most its wall time, so a short wall time is used
  // for both.
  void NoteShortTurn() {
    const Duration now = Read(CLOCK_MONOTONIC);
    const Duration took = now - wall_mark_;
    if (took >= kShortTurn) return NoteTurn();
    wall_mark_ = now;
    short_turns_ += took;
    handler_cpu.Add(took);
  }

 private:
  Duration cpu_mark_{};
  Duration wall_mark_{};
  Duration short_turns_{};  // sum of the short turns since the marks
};

Loop::Loop(Clock& clock)
    : clock_(clock),
      simulated_(nullptr),
      context_(std::make_shared<asio::io_context>(1)),
      timers_(std::make_shared<TimerTable>()),
      inbox_(std::make_unique<Inbox>()),
      figuring_(std::make_unique<Figuring>(*context_)) {}

Loop::Loop(SimulatedClock& clock)
    : clock_(clock),
      simulated_(&clock),
      context_(std::make_shared<asio::io_context>(1)),
      timers_(std::make_shared<TimerTable>()),
      inbox_(std::make_unique<Inbox>()),
      figuring_(std::make_unique<Figuring>(*context_)) {}

Loop::~Loop() { Abandon(); }

void Loop::Post(absl::AnyInvocable<void()> function) {
  const TimePoint now = simulated_ ? TimePoint{} : clock_.Now();
  // The lock keeps Abandon from releasing the context meanwhile: this thread would then release it last and destroy the
  // coroutines.
  const std::lock_guard lock(inbox_->mutex);
  if (!context_) return;
  inbox_->posted.push_back({now, std::move(function)});
  inbox_->has_posted = true;
  if (std::exchange(inbox_->asleep, false)) asio::post(*context_, [] {});
}

void Loop::Defer(absl::AnyInvocable<void()> function) { deferred_.push_back(std::move(function)); }

void Loop::Spawn(Task<void> task) {
  if (!context_) return;
  asio::co_spawn(*context_, std::move(task), [](std::exception_ptr exception) noexcept {
    if (exception) std::rethrow_exception(exception);  // leaves a noexcept function: the process stops
  });
}

Task<void> Loop::SleepUntil(TimePoint time) {
  Event never(*this);
  co_await never.WaitUntil(time);
}

Task<void> Loop::Yield() {
  auto initiation = [this](auto handler) { ready_.push_back(new Waiter(std::move(handler))); };
  co_await asio::async_initiate<decltype(asio::use_awaitable), void(bool)>(std::move(initiation), asio::use_awaitable);
}

void Loop::Timer::Cancel() {
  if (table_) table_->timers.erase(key_);
  table_ = nullptr;
}

Loop::Timer Loop::CallAt(TimePoint time, absl::AnyInvocable<void()> function) {
  Timer timer;
  timer.table_ = timers_;
  timer.key_ = {time, timers_->count++};
  timers_->timers.emplace(timer.key_, std::move(function));
  return timer;
}

std::optional<TimePoint> Loop::NextTimer() const {
  if (timers_->timers.empty()) return std::nullopt;
  return timers_->timers.begin()->first.first;
}

bool Loop::RunNextReady() {
  if (ready_.empty()) {
    burst_ = 0;
    return false;
  }
  if (burst_ == kBurstMax) burst_ = -kBurstMax;
  if (burst_++ < 0) return false;
  const std::unique_ptr<Waiter> waiter(ready_.front());
  ready_.pop_front();
  std::move(waiter->handler)(true);
  return true;
}

bool Loop::RunDeferred() {
  if (deferred_.empty()) return false;
  std::vector<absl::AnyInvocable<void()>> functions;
  functions.swap(deferred_);
  for (auto& function : functions) function();
  return true;
}

bool Loop::RunNextPosted() {
  std::deque<Inbox::Posted>& taken = inbox_->taken;
  if (taken.empty() && inbox_->has_posted) {
    const std::lock_guard lock(inbox_->mutex);
    std::move(inbox_->posted.begin(), inbox_->posted.end(), std::back_inserter(taken));
    inbox_->posted.clear();
    inbox_->has_posted = false;
  }
  if (taken.empty() || posted_in_a_row_ == kBurstMax) {
    posted_in_a_row_ = 0;
    return false;
  }
  ++posted_in_a_row_;
  Inbox::Posted next = std::move(taken.front());
  taken.pop_front();
  if (!simulated_) figuring_->lag.Add(clock_.Now() - next.at);
  next.function();
  return true;
}

bool Loop::RunNextTimer() {
  const std::optional<TimePoint> next = NextTimer();
  if (!next || *next > Now()) return false;
  if (!simulated_) figuring_->lag.Add(Now() - *next);
  auto node = timers_->timers.extract(timers_->timers.begin());
  node.mapped()();
  return true;
}

void Loop::Run() {
  if (simulated_) {
    RunUntil([this] { return stopped_.load(); });
    stopped_ = false;
    return;
  }
  figuring_->Begin();
  while (!stopped_) {
    if (RunNextReady() || RunDeferred() || RunNextTimer() || RunNextPosted() || RunNextOfContext()) {
      figuring_->NoteShortTurn();
    } else if (Wait()) {
      figuring_->NoteTurn();
    }
  }
  stopped_ = false;  // reset here and not at the beginning, so that a Stop before Run counts
}

// Runs one handler of the context: an event of a socket, or the beginning of a coroutine.
bool Loop::RunNextOfContext() {
  if (context_->poll_one() > 0) return true;
  if (inbox_->taken.empty()) burst_ = 0;  // no other source wants a turn
  return false;
}

// Waits until something is ready or the next timer is due, and runs the handler that ended the wait. Returns false if
// none ran.
bool Loop::Wait() {
  if (!ready_.empty() || !inbox_->taken.empty()) return false;
  {
    const std::lock_guard lock(inbox_->mutex);
    if (!inbox_->posted.empty()) return false;
    inbox_->asleep = true;
  }
  const std::optional<TimePoint> next = NextTimer();
  const size_t ran =
      next ? context_->run_one_until(std::chrono::steady_clock::time_point(
                 std::chrono::duration_cast<std::chrono::steady_clock::duration>(next->time_since_epoch())))
           : context_->run_one();
  const std::lock_guard lock(inbox_->mutex);
  inbox_->asleep = false;
  return ran > 0;
}

// Takes one turn on a simulated clock. Returns false if nothing is ready.
bool Loop::RunNext() {
  return RunNextReady() || RunDeferred() || RunNextPosted() || RunNextOfContext() || RunNextTimer() || RunNextReady() ||
         RunNextPosted();
}

void Loop::Stop() {
  stopped_ = true;
  Post([] {});  // wakes a loop that waits
}

bool Loop::RunUntil(const std::function<bool()>& done, TimePoint limit) {
  while (!done()) {
    if (RunNext()) continue;
    const std::optional<TimePoint> next = NextTimer();
    if (!next || *next > limit || *next == kNever) return false;
    simulated_->AdvanceTo(*next);
  }
  return true;
}

void Loop::RunReady() {
  while (RunNext()) {
  }
}

void Loop::Abandon() {
  if (!context_) return;
  for (std::list<Waiter*>* waiters : {&waiters_, &ready_}) {
    while (!waiters->empty()) {
      const std::unique_ptr<Waiter> waiter(waiters->front());
      waiters->pop_front();
      waiter->Unlink();
    }
  }
  std::map<std::pair<TimePoint, uint64_t>, absl::AnyInvocable<void()>> timers;
  timers.swap(timers_->timers);
  timers.clear();
  deferred_.clear();
  figuring_->keep_running.reset();
  // The context's destructor destroys the remaining coroutines, whose destructors may call Post and Spawn. context_ is
  // null by then, so that both drop what they get.
  std::shared_ptr<asio::io_context> context;
  std::vector<Inbox::Posted> posted;
  {
    const std::lock_guard lock(inbox_->mutex);
    context.swap(context_);
    posted.swap(inbox_->posted);
  }
  posted.clear();
  inbox_->taken.clear();
  context.reset();
}

LoopFigures Loop::Figures() const {
  const Figuring& figuring = *figuring_;
  return {.handlers = figuring.handler_cpu.count(),
          .handler_cpu_p50 = figuring.handler_cpu.Quantile(0.5),
          .handler_cpu_p999 = figuring.handler_cpu.Quantile(0.999),
          .handler_cpu_max = figuring.handler_cpu.max(),
          .lag_p50 = figuring.lag.Quantile(0.5),
          .lag_p999 = figuring.lag.Quantile(0.999),
          .cpu = figuring.cpu};
}

Event::~Event() {
  // Coroutines that still wait here wait until Abandon destroys them.
  for (Loop::Waiter* waiter : waiting_) waiter->event = nullptr;
}

Task<void> Event::Wait() { co_await WaitUntil(kNever); }

Task<bool> Event::WaitUntil(TimePoint deadline) {
  auto initiation = [this, deadline](auto handler) {
    auto* waiter = new Loop::Waiter(std::move(handler));
    waiter->in_loop = loop_.waiters_.insert(loop_.waiters_.end(), waiter);
    waiter->event = this;
    waiter->in_event = waiting_.insert(waiting_.end(), waiter);
    if (deadline != kNever) {
      Loop& loop = loop_;
      waiter->deadline = loop_.CallAt(deadline, [&loop, waiter] {
        const std::unique_ptr<Loop::Waiter> owned(waiter);
        owned->Unlink();
        loop.waiters_.erase(owned->in_loop);
        std::move(owned->handler)(false);
      });
    }
  };
  co_return co_await asio::async_initiate<decltype(asio::use_awaitable), void(bool)>(std::move(initiation),
                                                                                     asio::use_awaitable);
}

void Event::NotifyOne() {
  if (waiting_.empty()) return;
  Loop::Waiter* const waiter = waiting_.front();
  waiter->Unlink();
  waiter->deadline.Cancel();
  loop_.ready_.splice(loop_.ready_.end(), loop_.waiters_, waiter->in_loop);
}

void Event::NotifyAll() {
  // Waits that begin after this call are not notified: this only moves waits, and none of them resumes before a later
  // turn.
  while (!waiting_.empty()) NotifyOne();
}

void TaskGroup::Spawn(Task<void> task) {
  ++running_;
  loop_.Spawn(RunOne(std::move(task)));
}

Task<void> TaskGroup::RunOne(Task<void> task) {
  co_await std::move(task);
  if (--running_ == 0) done_.NotifyAll();
}

Task<void> TaskGroup::Join() {
  while (running_ > 0) co_await done_.Wait();
}

}  // namespace millrace
