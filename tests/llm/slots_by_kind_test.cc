// Chat and embedding of one model at one server in virtual time: each kind's limit is learned from its own attempts,
// and together they stay below one cap.
#include "server/llm/admission/slots_by_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "server/llm/queue.h"
#include "server/storage/memory_store.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using testing::ElementsAre;

constexpr std::array kBoth = {CallKind::kChat, CallKind::kEmbed};

// A server with `capacity` slots for both kinds: an answer takes 1 s and an embedding 50 ms. It queues what it can't
// serve, or rejects it. The callers of a kind that is `busy` always have another call.
class SharedServer {
 public:
  explicit SharedServer(int32_t max_concurrency, bool rejects = false)
      : target_(loop_, entry_, "m", {.max_concurrency = max_concurrency}), rejects_(rejects) {}

  struct OfKind {
    bool busy = false;
    int capacity = 1000;  // of its own, if it rejects
    int64_t answered = 0;
    int64_t rejected = 0;
    Duration longest{};  // latency
    int waiting = 0;
  };
  OfKind& chat() { return kinds_[0]; }
  OfKind& embed() { return kinds_[1]; }
  int capacity = 4;
  int in_flight_max = 0;
  int64_t begun = 0;
  int64_t in_flight_sum = 0;  // over the attempts' beginnings
  double InFlight() const { return static_cast<double>(in_flight_sum) / static_cast<double>(begun); }

  void RunFor(Duration duration) {
    for (const CallKind kind : kBoth) Ask(kind);
    bool over = false;
    const Loop::Timer timer = loop_.CallAt(clock_.Now() + duration, [&over] { over = true; });
    loop_.RunUntil([&over] { return over; });
  }
  void Forget() {
    for (OfKind& kind : kinds_) kind.answered = kind.rejected = 0, kind.longest = {};
    in_flight_max = 0;
    begun = in_flight_sum = 0;
  }
  const Target& target() const { return target_; }

 private:
  struct Work {
    CallKind kind;
    Admitted admitted;
    bool served = false;
  };

  // Keeps two calls in the queue, which are granted as slots become free.
  void Ask(CallKind kind) {
    OfKind& own = kinds_[IndexOf(kind)];
    while (own.busy && own.waiting < 2) {
      auto ticket = std::make_shared<Ticket>();
      ticket->run = kind == CallKind::kChat ? "chats" : "embeds";
      ticket->kind = kind;
      ticket->age = queue_.NextAge();
      ticket->targets = {{&target_}};
      ticket->wake = [this, kind, &ticket = *ticket] {
        if (ticket.granted == nullptr) return;
        --kinds_[IndexOf(kind)].waiting;
        Send(kind, ticket.admitted);
      };
      ++own.waiting;
      tickets_.push_back(ticket);
      queue_.Enter(*ticket);
      while (!tickets_.empty() && tickets_.front()->granted != nullptr) tickets_.pop_front();
    }
  }
  // Runs a little later, because tickets are granted inside the queue.
  void Later(Duration delay, std::function<void()> action) {
    auto timer = std::make_shared<Loop::Timer>();
    *timer = loop_.CallAt(clock_.Now() + delay, [timer, action = std::move(action)] { action(); });
    timers_.push_back(timer);
    if (timers_.size() > 10'000) timers_.erase(timers_.begin(), timers_.begin() + 5'000);
  }
  void Send(CallKind kind, const Admitted& admitted) {
    in_flight_max = std::max(in_flight_max, target_.in_flight());
    ++begun;
    in_flight_sum += target_.in_flight();
    Later(Duration(0), [this, kind] { Ask(kind); });
    const int of_kind = static_cast<int>(
        std::count_if(work_.begin(), work_.end(), [kind](const auto& work) { return work->kind == kind; }));
    if (rejects_ && (static_cast<int>(work_.size()) >= capacity || of_kind >= kinds_[IndexOf(kind)].capacity)) {
      ++kinds_[IndexOf(kind)].rejected;
      Later(1ms, [this, admitted] { End(admitted, backend::Outcome::kRateLimited); });
      return;
    }
    work_.push_back(std::make_shared<Work>(Work{.kind = kind, .admitted = admitted}));
    Serve();
  }
  void Serve() {
    int busy = 0;
    for (const auto& work : work_) busy += work->served;
    for (const auto& work : work_) {
      if (busy >= capacity) return;
      if (std::exchange(work->served, true)) continue;
      ++busy;
      Later(work->kind == CallKind::kChat ? Duration(1s) : Duration(50ms), [this, work] { Finish(work); });
    }
  }
  void Finish(const std::shared_ptr<Work>& work) {
    std::erase(work_, work);
    OfKind& own = kinds_[IndexOf(work->kind)];
    ++own.answered;
    own.longest = std::max(own.longest, clock_.Now() - work->admitted.began);
    Serve();
    End(work->admitted, backend::Outcome::kAnswered);
  }
  void End(const Admitted& admitted, backend::Outcome outcome) {
    queue_.Free(target_, admitted);
    queue_.End(target_, admitted, {.outcome = outcome});
  }

  SimulatedClock clock_;
  Loop loop_{clock_};
  MemoryDisk disk_;
  MemoryStore store_{loop_, disk_};
  Queue queue_{loop_, store_};
  BackendEntry entry_;
  Target target_;
  const bool rejects_;
  std::array<OfKind, kCallKinds> kinds_;
  std::deque<std::shared_ptr<Ticket>> tickets_;
  std::vector<std::shared_ptr<Work>> work_;
  std::vector<std::shared_ptr<Loop::Timer>> timers_;
};

TEST(SlotsByKindTest, ABurstOfEmbeddingsDoesNotTeachChatAWrongLimit) {
  SharedServer server(0);
  server.embed().busy = true;
  server.RunFor(60s);
  server.embed().busy = false;
  server.chat().busy = true;
  server.RunFor(60s);  // settles
  server.Forget();
  server.RunFor(600s);
  EXPECT_GE(server.chat().answered, 600 * 4 * 0.97) << "as if there had been no embeddings";
  EXPECT_LE(server.chat().longest, 3s) << "the queue in the server stays short";
  EXPECT_LE(server.target().concurrency_limit(), 7);
}

TEST(SlotsByKindTest, NeitherKindStarvesTheOtherAndTheServerIsFull) {
  SharedServer server(0);
  server.chat().busy = server.embed().busy = true;
  server.RunFor(120s);
  for (const int capacity : {4, 8, 3}) {
    server.capacity = capacity;
    server.RunFor(300s);  // settles
    server.Forget();
    server.RunFor(600s);
    const double served =
        static_cast<double>(server.chat().answered) + static_cast<double>(server.embed().answered) / 20;
    EXPECT_GE(served, 600 * capacity * 0.90) << capacity;
    EXPECT_GE(server.chat().answered, 600 * capacity * 0.25) << capacity;
    EXPECT_GE(server.embed().answered, 600 * capacity) << capacity;
    EXPECT_LE(server.InFlight(), 2 * capacity + 2) << capacity;
    EXPECT_LE(server.chat().longest, 4s) << "the queue in the server stays short";
  }
}

TEST(SlotsByKindTest, BothKindsTogetherStayBelowWhatTheServerRejects) {
  SharedServer server(0, true);
  server.capacity = 37;
  server.chat().busy = server.embed().busy = true;
  server.RunFor(300s);  // settles
  server.Forget();
  server.RunFor(600s);
  const int64_t rejected = server.chat().rejected + server.embed().rejected;
  EXPECT_LE(rejected, (server.chat().answered + server.embed().answered) / 200);
  const double served = static_cast<double>(server.chat().answered) + static_cast<double>(server.embed().answered) / 20;
  EXPECT_GE(served, 600 * 37 * 0.90);
  server.embed().busy = false;
  server.RunFor(300s);
  server.Forget();
  server.RunFor(600s);
  EXPECT_GE(server.chat().answered, 600 * 37 * 0.95) << "chat alone takes what embedding has left";
}

TEST(SlotsByKindTest, ALimitOfEmbeddingsDoesNotLimitChat) {
  SharedServer server(0, true);
  server.capacity = 1000;
  server.chat().capacity = 37;
  server.embed().capacity = 8;
  server.chat().busy = server.embed().busy = true;
  server.RunFor(600s);  // settles
  server.Forget();
  server.RunFor(600s);
  EXPECT_LE(server.embed().rejected, server.embed().answered / 200);
  EXPECT_GE(server.embed().answered, 600 * 20 * 8 * 0.75);
  server.embed().busy = false;
  server.RunFor(300s);  // settles
  server.Forget();
  server.RunFor(600s);
  EXPECT_GE(server.chat().answered, 600 * 37 * 0.90);
}

TEST(SlotsByKindTest, AFixedNumberHoldsForBothKindsAndIsShared) {
  SharedServer server(4);
  server.capacity = 100;
  server.embed().busy = true;
  server.RunFor(10s);
  EXPECT_EQ(server.in_flight_max, 4);
  EXPECT_GE(server.embed().answered, 10 * 20 * 4 * 0.95) << "a kind alone has all slots";
  server.chat().busy = true;
  server.RunFor(10s);
  server.Forget();
  server.RunFor(100s);
  EXPECT_EQ(server.in_flight_max, 4);
  EXPECT_GE(server.chat().answered, 190);
  EXPECT_GE(server.embed().answered, 3800);
}

// Queue: small calls must not take the tokens that a large one of the other kind waits for.
TEST(SlotsByKindTest, NoKindPassesACallThatWaitsForAnythingButItsSlots) {
  SimulatedClock clock;
  Loop loop(clock);
  MemoryDisk disk;
  MemoryStore store(loop, disk);
  Queue queue(loop, store);
  BackendEntry entry;
  Target target(loop, entry, "m", {.max_concurrency = 8, .tpm = 60'000});  // 1,000 a second
  std::vector<int> granted;
  std::deque<Ticket> tickets;
  const auto call = [&](CallKind kind, int64_t tokens) {
    Ticket& ticket = tickets.emplace_back();
    ticket.kind = kind;
    ticket.tokens = tokens;
    ticket.age = queue.NextAge();
    ticket.targets = {{&target}};
    ticket.wake = [&granted, &ticket, name = static_cast<int>(tickets.size())] {
      if (ticket.granted != nullptr) granted.push_back(name);
    };
    queue.Enter(ticket);
  };
  call(CallKind::kEmbed, 30'000);
  call(CallKind::kChat, 30'000);
  for (int i = 0; i < 3; ++i) call(CallKind::kEmbed, 10);
  EXPECT_THAT(granted, ElementsAre(1));
  loop.RunUntil([&] { return granted.size() == 5; });
  EXPECT_THAT(granted, ElementsAre(1, 2, 3, 4, 5));
}

TEST(SlotsByKindTest, TheFirstBytesOfEmbeddingsMakeNoChatAnswerLookSilent) {
  SimulatedClock clock;
  Loop loop(clock);
  BackendEntry entry;
  Target target(loop, entry, "m", {.max_concurrency = 8});
  target.NoteFirstByte(CallKind::kChat, 20s);
  for (int i = 0; i < 2000; ++i) target.NoteFirstByte(CallKind::kEmbed, 50ms);
  target.Begin({}, TimePoint(1s));
  EXPECT_FALSE(target.IsSuspected(TimePoint(50s)));
  EXPECT_TRUE(target.IsSuspected(TimePoint(62s)));
}

}  // namespace
}  // namespace millrace
