// Answers that come in pieces: what the waiters get of them, when they count, and who ends them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/sdk/http_call.h"
#include "server/llm/calls.h"
#include "server/storage/keys.h"
#include "server/storage/value_codec.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using backend::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;

backend::Failure Failed(Outcome outcome, Reason reason) {
  return {.outcome = outcome, .reason = reason, .message = "bad stream", .retry_after = {}, .http_status = 200};
}

// A provider's protocol: the body is the text of the answer up to `$`. More may follow. `!` breaks the protocol,
// `?` makes the exchange break its own.
class StreamExchange final : public backend::Exchange {
 public:
  StreamExchange(const backend::Request& request, const std::function<void()>& on_end)
      : request_(request), on_end_(on_end) {}

  backend::Action Next(backend::Input input) override {
    if (std::holds_alternative<backend::Resume>(input)) {
      backend::SendHttp send;
      send.url = "http://provider/" + request_.model;
      send.body = request_.wants_deltas ? "stream" : "whole";
      return send;
    }
    if (std::holds_alternative<backend::End>(input)) {
      if (on_end_) on_end_();
      if (broken_) return backend::More();
      return backend::Fail{Failed(Outcome::kPartial, Reason::kTargetFailed)};
    }
    backend::More more;
    if (const auto* bytes = std::get_if<backend::Bytes>(&input)) {
      for (const char byte : bytes->bytes) {
        if (byte == '!') return backend::Fail{Failed(Outcome::kAnsweredBad, Reason::kBadResponse)};
        if (byte == '?') broken_ = true;
        if (byte == '$') return backend::Done{{.text = text_, .vectors = {}, .input_tokens = 3, .output_tokens = 2}};
        text_ += byte;
        more.delta += byte;
      }
    }
    return more;
  }

 private:
  const backend::Request request_;
  const std::function<void()>& on_end_;
  std::string text_;
  bool broken_ = false;
};

class StreamBackend final : public backend::Backend {
 public:
  explicit StreamBackend(const std::function<void()>& on_end) : on_end_(on_end) {}
  const backend::Manifest& manifest() const override { return manifest_; }
  std::unique_ptr<backend::Exchange> Start(const backend::Question& question, uint64_t) override {
    return std::make_unique<StreamExchange>(std::get<backend::Request>(question), on_end_);
  }

 private:
  const std::function<void()>& on_end_;
  const backend::Manifest manifest_{.kind = "stream", .protocol_family = "stream", .dialect_version = 1};
};

// Notes what it gets: `text` for a part, `<` for a restart.
class Notes final : public DeltaSink {
 public:
  void Delta(std::string_view text) override { parts.emplace_back(text); }
  void Restarted() override { parts.emplace_back("<"); }

  std::vector<std::string> parts;
};

class StreamsTest : public testing::Test {
 protected:
  StreamsTest() {
    world.make_backend = [this] { return std::make_unique<StreamBackend>(on_end); };
  }

  static CallContext Reading(const std::shared_ptr<Notes>& notes) {
    CallContext context;
    context.deltas = notes;
    return context;
  }
  // Raw answers of the attempts that are not settled.
  std::vector<std::string> StoredRaw() const {
    std::vector<std::string> raw;
    const std::string begin = KeyBuilder(Table::kPending);
    const auto end = world.disk.data().lower_bound(PrefixEnd(begin));
    for (auto entry = world.disk.data().lower_bound(begin); entry != end; ++entry) {
      raw.push_back(Decode<storage::v1::PendingRecord>(entry->first, entry->second)->raw());
    }
    return raw;
  }

  std::function<void()> on_end;
  World world;
};

TEST_F(StreamsTest, ACallerReadsTheTextWhileItIsMade) {
  world.provider.script.push_back({.pieces = {"one ", "two ", "three$"}});
  const auto notes = std::make_shared<Notes>();
  const auto asked = world.Ask("q", Reading(notes));
  world.RunFor(55ms);
  EXPECT_THAT(notes->parts, ElementsAre("one "));
  world.RunFor(10ms);
  EXPECT_THAT(notes->parts, ElementsAre("one ", "two "));
  EXPECT_FALSE(asked->done);
  world.RunUntil([&] { return asked->done; });
  EXPECT_EQ(asked->outcome.text, "one two three");
  EXPECT_EQ(asked->outcome.output_tokens, 2);
  EXPECT_EQ(world.provider.received[0].body, "stream");
  // A remembered answer is only in the outcome.
  const auto later = std::make_shared<Notes>();
  EXPECT_EQ(world.Answer("q", Reading(later)).text, "one two three");
  EXPECT_THAT(later->parts, ElementsAre());
}

TEST_F(StreamsTest, NoStreamIsAskedForIfNobodyReadsIt) {
  world.provider.script.push_back({.pieces = {"one ", "two", "$"}});
  EXPECT_EQ(world.Answer("q").text, "one two");
  EXPECT_EQ(world.provider.received[0].body, "whole");
}

TEST_F(StreamsTest, ACallerThatJoinsGetsTheTextSoFarFirst) {
  world.provider.script.push_back({.pieces = {"one ", "two ", "three ", "four$"}});
  const auto first = std::make_shared<Notes>();
  const auto second = std::make_shared<Notes>();
  const auto asked = world.Ask("q", Reading(first));
  const auto quiet = world.Ask("q", OfRun("r"));
  world.RunFor(65ms);
  const auto joined = world.Ask("q", Reading(second));
  world.RunUntil([&] { return asked->done && joined->done && quiet->done; });
  EXPECT_THAT(first->parts, ElementsAre("one ", "two ", "three ", "four"));
  EXPECT_THAT(second->parts, ElementsAre("one two ", "three ", "four"));
  EXPECT_EQ(joined->outcome.text, "one two three four");
  EXPECT_TRUE(joined->outcome.coalesced);
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST_F(StreamsTest, ACallerThatJoinsAnAttemptWithoutAStreamGetsNoPartOfIt) {
  world.provider.script.push_back({.pieces = {"one ", "two ", "three$"}});
  const auto notes = std::make_shared<Notes>();
  world.Ask("q", OfRun("r"));
  world.RunFor(55ms);
  EXPECT_EQ(world.Answer("q", Reading(notes)).text, "one two three");
  EXPECT_THAT(notes->parts, ElementsAre());
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST_F(StreamsTest, ACutStreamIsNeverAnAnswer) {
  world.provider.script.push_back({.outcome = HttpOutcome::kPartial, .pieces = {"one ", "two "}});
  world.provider.script.push_back({.pieces = {"uno ", "due "}});  // complete for HTTP, without its end
  world.provider.script.push_back({.pieces = {"eins ", "zwei$"}});
  const auto notes = std::make_shared<Notes>();
  const CallOutcome outcome = world.Answer("q", Reading(notes));
  EXPECT_EQ(outcome.text, "eins zwei");
  EXPECT_EQ(outcome.totals.attempts(), 3);
  EXPECT_EQ(outcome.totals.maybe_billed(), 2);
  EXPECT_THAT(notes->parts, ElementsAre("one ", "two ", "<", "uno ", "due ", "<", "eins ", "zwei"));
  EXPECT_EQ(outcome.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_PARTIAL);
  EXPECT_EQ(outcome.attempts[1].outcome(), v1::ATTEMPT_OUTCOME_PARTIAL);
}

TEST_F(StreamsTest, ARawAnswerIsStoredBeforeItsExchangeGetsItsEnd) {
  world.provider.script.push_back({.pieces = {"one ", "two"}});
  std::vector<std::string> stored;
  on_end = [&] {
    if (stored.empty()) stored = StoredRaw();
  };
  world.Ask("q");
  world.RunFor(1s);
  EXPECT_THAT(stored, ElementsAre("one two"));
}

TEST_F(StreamsTest, ADoneBeforeTheEndClosesTheConnectionAndIsFoundAfterACrash) {
  world.provider.script.push_back({.pieces = {"one ", "two$ and", "never read"}, .gap = 200s});
  world.commits = false;
  CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "one two");
  EXPECT_EQ(world.provider.closed, 1);
  EXPECT_THAT(StoredRaw(), ElementsAre("one two$ and"));
  world.Restart();
  world.commits = true;
  outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "one two");
  EXPECT_EQ(outcome.output_tokens, 2);
  EXPECT_EQ(outcome.totals.attempts(), 1);
  EXPECT_EQ(world.provider.received.size(), 1u);
  EXPECT_EQ(world.Count(Table::kPending), 0);
}

TEST_F(StreamsTest, AFailureBeforeTheEndClosesTheConnection) {
  world.provider.script.push_back({.pieces = {"one ", "!", "never read"}, .gap = 200s});
  world.provider.script.push_back({.pieces = {"two$"}});
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "two");
  EXPECT_EQ(outcome.attempts[0].outcome(), v1::ATTEMPT_OUTCOME_ANSWERED_BAD);
  EXPECT_EQ(world.provider.closed, 2);  // `$` also comes before the end
}

TEST_F(StreamsTest, AnExchangeThatBreaksItsRulesFailsItsAttempt) {
  world.provider.usual = [](const HttpRequest&) { return Reaction{.pieces = {"one ", "?"}}; };
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(ReasonOf(outcome.status), Reason::kBadResponse);
  EXPECT_THAT(outcome.attempts[0].error(), HasSubstr("the backend has an error"));
}

TEST_F(StreamsTest, TheLastReaderThatLeavesClosesTheConnection) {
  for (const bool by_deadline : {false, true}) {
    world.Restart();
    world.provider = Provider();
    world.provider.script.push_back({.pieces = {"one ", "two ", "three$"}, .gap = 10s});
    const auto notes = std::make_shared<Notes>();
    CallContext context = Reading(notes);
    context.stop = world.NewStop();
    if (by_deadline) context.deadline = world.clock.Now() + 5s;
    const std::string question = by_deadline ? "by deadline" : "by stop";
    const auto asked = world.Ask(question, context);
    world.RunFor(4s);
    EXPECT_THAT(notes->parts, ElementsAre("one "));
    if (!by_deadline) context.stop->Stop();
    world.RunFor(2s);
    EXPECT_TRUE(asked->done);
    EXPECT_EQ(world.provider.closed, 1);
    EXPECT_EQ(world.provider.in_flight, 0);
    EXPECT_EQ(asked->outcome.stopped, !by_deadline);
    // A run that asks next pays for the answer. Generate began the first attempt, which is in no run's counts.
    world.provider.script.push_back({.pieces = {"again$"}});
    const CallOutcome outcome = world.Answer(question, OfRun("r"));
    EXPECT_EQ(outcome.text, "again");
    EXPECT_EQ(outcome.totals.attempts(), 1);
    EXPECT_EQ(outcome.totals.maybe_billed(), 0);
    EXPECT_EQ(world.Count(Table::kPending), 0);
  }
}

TEST_F(StreamsTest, AReaderThatLeavesOthersClosesNothing) {
  world.provider.script.push_back({.pieces = {"one ", "two$"}, .gap = 10s});
  CallContext context = Reading(std::make_shared<Notes>());
  context.stop = world.NewStop();
  world.Ask("q", context);
  const auto stays = world.Ask("q", OfRun("r"));
  world.RunFor(4s);
  context.stop->Stop();
  world.RunUntil([&] { return stays->done; });
  EXPECT_EQ(stays->outcome.text, "one two");
  EXPECT_EQ(world.provider.received.size(), 1u);
}

TEST_F(StreamsTest, ACallerThatJoinsWhileTheConnectionIsClosedAsksAgain) {
  world.provider.script.push_back({.pieces = {"one ", "two$"}, .gap = 10s});
  world.provider.script.push_back({.pieces = {"again$"}});
  CallContext context = Reading(std::make_shared<Notes>());
  context.stop = world.NewStop();
  const auto left = world.Ask("q", context);
  world.RunFor(4s);
  context.stop->Stop();
  world.RunUntil([&] { return left->done; });
  const CallOutcome outcome = world.Answer("q", OfRun("r"));
  EXPECT_EQ(outcome.text, "again");
  EXPECT_EQ(world.provider.received.size(), 2u);
}

}  // namespace
}  // namespace millrace
