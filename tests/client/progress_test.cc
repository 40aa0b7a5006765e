#include "client/cli/progress.h"

#include <gmock/gmock.h>

#include <sstream>

namespace millrace::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

v1::Run TwoStages(int64_t read, int64_t answered) {
  v1::Run run;
  run.set_name("r-1");
  run.set_state(v1::RUN_STATE_RUNNING);
  v1::StageProgress& titles = *run.add_stages();
  titles.set_stage("titles");
  titles.set_kind("fetch");
  titles.set_items_in(read);
  titles.set_ok(read);
  titles.set_done(true);
  v1::StageProgress& story = *run.add_stages();
  story.set_stage("story");
  story.set_kind("synthesize");
  story.set_items_in(read);
  story.set_ok(answered);
  return run;
}

TEST(ProgressTest, ATerminalShowsEachStageOnALineAndRedrawsIt) {
  SimulatedClock clock;
  std::ostringstream out;
  Progress progress(out, Progress::Kind::kTerminal, clock);
  progress.Show(TwoStages(7483, 12));
  EXPECT_EQ(out.str(), "  + titles: 7,483\n  > story: 12 of 7,483+\n");
  out.str("");
  progress.Show(TwoStages(7483, 1200));
  EXPECT_EQ(out.str(), "\x1b[1A\x1b[2K\x1b[1A\x1b[2K  + titles: 7,483\n  > story: 1,200 of 7,483+\n");
  out.str("");
  progress.Say("warning: x");
  EXPECT_EQ(out.str(), "\x1b[1A\x1b[2K\x1b[1A\x1b[2Kwarning: x\n");
  out.str("");
  progress.Clear();
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressTest, ALogGetsOccasionalLinesWithoutEscapes) {
  SimulatedClock clock;
  std::ostringstream out;
  Progress progress(out, Progress::Kind::kLog, clock);
  progress.Show(TwoStages(7483, 12));
  EXPECT_EQ(out.str(), "r-1 RUNNING: [story: 12 of 7,483+]\n");
  out.str("");
  clock.Advance(std::chrono::seconds(4));
  progress.Show(TwoStages(7483, 100));
  EXPECT_EQ(out.str(), "");
  clock.Advance(std::chrono::seconds(1));
  progress.Show(TwoStages(7483, 200));
  EXPECT_EQ(out.str(), "r-1 RUNNING: [story: 200 of 7,483+]\n");
  out.str("");
  progress.StageDone(TwoStages(7483, 0).stages(0));
  EXPECT_EQ(out.str(), "  titles: 7,483 (0.00 s)\n");
  progress.Clear();
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
}

TEST(ProgressTest, ALogShowsAReasonToWaitAtOnceAndOnce) {
  SimulatedClock clock;
  std::ostringstream out;
  Progress progress(out, Progress::Kind::kLog, clock);
  v1::Run run = TwoStages(3, 0);
  progress.Show(run);
  out.str("");
  run.mutable_waiting_on()->set_reason(v1::WaitingOn::REASON_TARGET);
  run.mutable_waiting_on()->set_object("cloud/m");
  run.mutable_waiting_on()->set_remedy("it says: HTTP 401, request 1");
  progress.Show(run);
  EXPECT_EQ(out.str(), "r-1 RUNNING: [story: 0 of 3+] waits on TARGET cloud/m: it says: HTTP 401, request 1\n");
  out.str("");
  run.mutable_waiting_on()->set_remedy("it says: HTTP 401, request 2");
  progress.Show(run);
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressTest, NamesOfAServerCanNotMoveTheCursor) {
  SimulatedClock clock;
  std::ostringstream out;
  Progress progress(out, Progress::Kind::kLog, clock);
  v1::Run run = TwoStages(3, 1);
  run.set_name("r-\x1b[2J");
  run.mutable_stages(1)->set_stage("\x1b[31mred");
  run.mutable_waiting_on()->set_reason(v1::WaitingOn::REASON_USER);
  run.mutable_waiting_on()->set_object("\x1b]0;title\x07");
  progress.Show(run);
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(LastLine(run, "\x1b[31m"), Not(HasSubstr("\x1b")));
}

TEST(LastLineTest, SummarizesOutputInputAndCost) {
  v1::Run run = TwoStages(7483, 7480);
  v1::StageProgress& story = *run.mutable_stages(1);
  story.set_calls(7483);
  story.set_cache_hits(83);
  story.set_failed(3);
  story.set_computed(7400);
  story.set_maybe_billed(2);
  run.mutable_active_time()->set_seconds(3);
  EXPECT_EQ(LastLine(run, "local"),
            "run r-1 done: 7,480 story of 7,483 titles in 3.0 s (titles 0.0, story 0.0), 7,400 calls (local), $0.00, "
            "0 degraded, 3 failed\n  83 cached answers, 2 maybe billed");
}

TEST(LastLineTest, NamesEachFetch) {
  v1::Run run = TwoStages(20, 18);
  v1::StageProgress& places = *run.add_stages();
  places.set_stage("places");
  places.set_kind("fetch");
  places.set_items_in(3);
  EXPECT_THAT(LastLine(run, ""), HasSubstr("of 20 titles and 3 places in"));
}

TEST(LastLineTest, CountsADegradedItemOnce) {
  v1::Run run = TwoStages(20, 18);
  run.mutable_stages(1)->set_degraded(2);
  run.mutable_stages(1)->set_fallbacks(2);
  v1::StageProgress& later = *run.add_stages();
  later.set_stage("later");
  later.set_kind("synthesize");
  later.set_degraded(2);
  EXPECT_THAT(LastLine(run, ""), HasSubstr(", 2 degraded"));
}

TEST(LastLineTest, SaysWhenNothingWasComputed) {
  v1::Run memoized = TwoStages(5, 5);
  memoized.mutable_stages(1)->set_reused(5);
  EXPECT_THAT(LastLine(memoized, ""), HasSubstr("degraded\n  nothing was computed: every result was memoized"));
  memoized.mutable_stages(1)->set_reused(3);
  EXPECT_THAT(LastLine(memoized, ""), HasSubstr("every result was memoized")) << "two items passed `when`";
  memoized.mutable_stages(1)->set_computed(1);
  EXPECT_THAT(LastLine(memoized, ""), Not(HasSubstr("memoized")));
  EXPECT_THAT(LastLine(TwoStages(5, 5), ""), Not(HasSubstr("memoized"))) << "the items only passed `when`";
  EXPECT_THAT(LastLine(v1::Run(), ""), AllOf(StartsWith("run  done: nothing in"), Not(HasSubstr("memoized"))));
  EXPECT_THAT(LastLine(TwoStages(0, 0), ""), Not(HasSubstr("memoized"))) << "an empty input";
}

TEST(MeasuresTextTest, RoundsAndWraps) {
  EXPECT_EQ(MeasuresText(v1::Run()), "");
  v1::Run run;
  const auto add = [&run](const std::string& name, double value) {
    v1::MeasureValue& measure = *run.add_measures();
    measure.set_name(name);
    measure.set_value(value);
  };
  add("share", 0.857142857);
  add("count", 1234);
  add("mean", 1234.5678);
  run.add_measures()->set_name("none");
  EXPECT_EQ(MeasuresText(run), "  share 0.857, count 1,234, mean 1234.6, none -\n");
  for (int i = 0; i < 8; ++i) add("another-measure", 12.3456);
  const std::string text = MeasuresText(run);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
    EXPECT_LE(text.find('\n', begin) - begin, 100u) << text;
  }
}

}  // namespace
}  // namespace millrace::cli
