// The records that calls leave in the store: few, in the order of the settlements, and no more than somebody can find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/storage/answers.h"
#include "server/storage/keys.h"
#include "server/storage/ledger.h"
#include "tests/llm/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// Reads all pages of a run's attempts, `entries_max` entries at a time.
std::vector<v1::Attempt> List(World& world, const std::string& run, size_t entries_max = 2) {
  std::vector<v1::Attempt> attempts;
  bool is_done = false;
  const auto read = [](Store& store, std::string run, size_t entries_max, std::vector<v1::Attempt>& attempts,
                       bool& is_done) -> Task<void> {
    std::string begin;
    do {
      StatusOr<AttemptPage> page = co_await LoadAttempts(store, run, begin, entries_max);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      attempts.insert(attempts.end(), page->attempts.begin(), page->attempts.end());
      begin = page->next;
    } while (!begin.empty());
    is_done = true;
  };
  world.loop_->Spawn(read(*world.store_, run, entries_max, attempts, is_done));
  world.RunUntil([&] { return is_done; }, 1s);
  return attempts;
}

RememberedCall Explain(World& world, const std::string& run, const Digest& call_key) {
  StatusOr<std::vector<RememberedCall>> calls = absl::UnknownError("");
  const auto read = [](Store& store, std::string run, std::vector<Digest> keys,
                       StatusOr<std::vector<RememberedCall>>& calls) -> Task<void> {
    calls = co_await LoadCalls(store, std::move(run), std::move(keys));
  };
  std::vector<Digest> keys = {call_key};
  world.loop_->Spawn(read(*world.store_, run, std::move(keys), calls));
  world.RunUntil([&] { return calls.ok(); }, 1s);
  return calls.ok() ? calls->front() : RememberedCall();
}

void Delete(World& world, const std::string& run) {
  Status status = absl::UnknownError("");
  const auto forget = [](Store& store, std::string run, Status& status) -> Task<void> {
    status = co_await DeleteSettledOf(store, std::move(run));
  };
  world.loop_->Spawn(forget(*world.store_, run, status));
  world.RunUntil([&] { return status.ok(); }, 1s);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CallRecordsTest, AGenerateCallLeavesOneRecordAndOneIndexEntry) {
  World world;
  world.Answer("q");
  EXPECT_EQ(world.Count(Table::kSettled), 1);
  EXPECT_EQ(world.Count(Table::kAnswer), 1);
  EXPECT_THAT(world.disk.data(), SizeIs(2));
}

TEST(CallRecordsTest, NumbersAscendOverRestarts) {
  World world;
  for (int i = 0; i < 3; ++i) {
    world.Restart();
    world.Answer("q" + std::to_string(i));
  }
  EXPECT_EQ(world.Count(Table::kSettled), 3);
  std::vector<std::string> ids;
  for (const v1::Attempt& attempt : world.Settled()) ids.push_back(attempt.id());
  EXPECT_THAT(ids, SizeIs(3));
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
}

TEST(CallRecordsTest, ARunsAttemptsAreListedThoseInFlightLast) {
  World world;
  world.provider.script.push_back({.latency = 5ms, .status = 503});
  const CallOutcome first = world.Answer("first", OfRun("r"));
  world.Answer("another run's", OfRun("s"));
  world.Answer("second", OfRun("r"));
  world.provider.usual = [](const HttpRequest&) { return Reaction{.latency = 1h}; };
  world.Ask("third", OfRun("r"));
  world.Ask("other", OfRun("s"));
  world.RunFor(1s);
  std::vector<v1::AttemptOutcome> outcomes;
  for (const v1::Attempt& attempt : List(world, "r")) outcomes.push_back(attempt.outcome());
  EXPECT_THAT(outcomes, ElementsAre(v1::ATTEMPT_OUTCOME_REJECTED, v1::ATTEMPT_OUTCOME_ANSWERED,
                                    v1::ATTEMPT_OUTCOME_ANSWERED, v1::ATTEMPT_OUTCOME_STARTED));
  EXPECT_EQ(List(world, "r")[0].call_key(), first.call_keys[0].Hex());
}

TEST(CallRecordsTest, ACallIsExplainedWithItsQuestionAnswerAndAttempts) {
  World world;
  world.provider.script.push_back({.latency = 5ms, .status = 503});
  world.provider.script.push_back({.body = "not JSON"});
  world.provider.script.push_back({.body = R"({"n":1})"});
  const CallOutcome outcome = world.Answer("q", OfRun("r"), WithSchema);
  ASSERT_THAT(outcome.call_keys, SizeIs(2));
  const RememberedCall asked = Explain(world, "r", outcome.call_keys[0]);
  ASSERT_TRUE(asked.question.has_value());
  EXPECT_EQ(asked.question->model(), "writer");
  EXPECT_THAT(asked.attempts, SizeIs(2)) << "the refused one, and the one with the bad answer";
  const RememberedCall repaired = Explain(world, "r", outcome.call_keys[1]);
  EXPECT_THAT(repaired.attempts, SizeIs(1));
  ASSERT_TRUE(repaired.answer.has_value());
  EXPECT_EQ(repaired.answer->text(), R"({"n":1})");
  // Another run has the answer of the question, and no attempt of its own.
  world.Answer("q", OfRun("s"), WithSchema);
  const RememberedCall reused = Explain(world, "s", outcome.call_keys[0]);
  ASSERT_TRUE(reused.answer.has_value());
  EXPECT_EQ(reused.answer->run(), "r");
  EXPECT_THAT(reused.attempts, SizeIs(0));
  ASSERT_TRUE(reused.question.has_value());
  EXPECT_EQ(reused.question->request(), asked.question->request());
}

TEST(CallRecordsTest, ARunThatIsDeletedLeavesOnlyWhatLaterRunsReuse) {
  World world;
  world.provider.script.push_back({.body = "not JSON"});
  world.provider.script.push_back({.body = "nor this"});
  world.Answer("bad", OfRun("r"), WithSchema);
  world.Answer("good", OfRun("r"));
  world.Answer("good", OfRun("s"));
  ASSERT_EQ(world.Count(Table::kSettled), 4) << "two bad answers, a good one, and the copy for the other run";
  Delete(world, "s");
  EXPECT_EQ(world.Count(Table::kSettled), 3);
  Delete(world, "r");
  EXPECT_EQ(world.Count(Table::kSettled), 1);
  EXPECT_EQ(world.Count(Table::kRunSettled), 0);
  EXPECT_TRUE(world.Answer("good", OfRun("t")).cache_hit);
}

TEST(CallRecordsTest, AnEvictionDeletesTextsAndKeepsTheAttemptsOfRuns) {
  World world;
  world.Answer("of a run", OfRun("r"));
  world.Answer("of nobody");
  StatusOr<int64_t> evicted = absl::UnknownError("");
  const auto evict = [](Calls& calls, StatusOr<int64_t>& evicted) -> Task<void> {
    evicted = co_await calls.EvictAnswers(std::nullopt, "", nullptr);
  };
  world.loop_->Spawn(evict(world.calls(), evicted));
  world.RunFor(1s);
  ASSERT_TRUE(evicted.ok());
  EXPECT_EQ(*evicted, 2);
  EXPECT_EQ(world.Count(Table::kAnswer), 0);
  EXPECT_EQ(world.Count(Table::kSettled), 1);
  EXPECT_THAT(List(world, "r"), SizeIs(1));
}

}  // namespace
}  // namespace millrace
