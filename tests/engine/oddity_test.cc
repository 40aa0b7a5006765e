// Numbers and dates of items that are written in unexpected ways, and the warnings of a run about them.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;

v1::Pipeline Prepared() {
  return MakePipeline({"in:fetch", "made:prepare:in", "told:synthesize:made", "out:store:told"});
}

std::vector<std::string> Scored() {
  std::vector<std::string> items;
  for (const char* score : {"\"4.5\"", "7", "\"1.5\"", "\"n/a\"", "2.5"}) {
    items.push_back(fmt::format(R"({{"id":"s{}","text":"text {}","score":{}}})", items.size(), items.size(), score));
  }
  return items;
}

TEST(OddityTest, ARunWarnsOnceOfTextThatAConditionComparesWithANumber) {
  World world;
  v1::Pipeline pipeline = Prepared();
  v1::Comparison& compare = *StageOf(pipeline, "made").mutable_when()->mutable_compare();
  compare.set_field("score");
  compare.set_less(5);
  *StageOf(pipeline, "out").mutable_when() = StageOf(pipeline, "made").when();
  for (int time = 0; time < 2; ++time) {  // the second run finds its results in memos
    const v1::Run run = world.Wait(world.Create(pipeline, Scored()).name());
    EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED) << run.error().message();
    EXPECT_THAT(
        run.warnings(),
        testing::UnorderedElementsAre(
            testing::AllOf(testing::HasSubstr("stage `made`: `score` is text that looks like a number in 2 items, "
                                              "for example \"4.5\""),
                           testing::HasSubstr("`types: {score: number}`"),
                           testing::HasSubstr("`convert: {field: score, to: number}`")),
            testing::HasSubstr("stage `out`: `score` is text that looks like a number in 2 items")));
  }
}

TEST(OddityTest, WarningsOutliveACrash) {
  World world;
  v1::Pipeline pipeline = Prepared();
  v1::Comparison& compare = *StageOf(pipeline, "made").mutable_when()->mutable_compare();
  compare.set_field("score");
  compare.set_less(5);
  const std::string name = world.Create(pipeline, Scored()).name();
  world.Pass(1ms);
  world.Crash();
  const v1::Run run = world.Wait(name);
  EXPECT_THAT(run.warnings(), ElementsAre(testing::HasSubstr("in 2 items")));
}

TEST(OddityTest, MeasuresWarnOfNumbersAsText) {
  World world;
  v1::Pipeline pipeline = Prepared();
  v1::Measure& mean = *pipeline.add_measures();
  mean.set_name("mean");
  mean.mutable_mean()->set_stage("in");
  mean.mutable_mean()->set_field("score");
  v1::Measure& share = *pipeline.add_measures();
  share.set_name("low_share");
  share.mutable_share()->set_stage("told");
  v1::Comparison& low = *share.mutable_share()->mutable_where()->mutable_compare();
  low.set_field("score");
  low.set_less(5);
  const v1::Run run = world.Wait(world.Create(pipeline, Scored()).name());
  EXPECT_EQ(run.measures(0).value(), (7 + 2.5) / 2);
  EXPECT_EQ(run.measures(1).value(), 0.2);
  EXPECT_THAT(
      run.warnings(),
      testing::UnorderedElementsAre(
          testing::HasSubstr("stage `in`: `score` is text that looks like a number in 2 items, for example \"4.5\"; "
                             "a measure leaves text out"),
          testing::HasSubstr("stage `told`: `score` is text that looks like a number in 2 items")));
}

TEST(OddityTest, ItemsThatDifferOnlyBeyondDoublesHaveResultsOfTheirOwn) {
  World world;
  const v1::Pipeline pipeline = MakePipeline({"in:fetch", "made:prepare:in", "out:store:made"});
  const auto item = [](const char* number) {
    return std::vector<std::string>{fmt::format(R"({{"id":"a","text":"t","n":{}}})", number)};
  };
  const v1::Run one = world.Wait(world.Create(pipeline, item("0.12345678901234567890")).name());
  const v1::Run two = world.Wait(world.Create(pipeline, item("0.12345678901234567891")).name());
  const v1::Run same = world.Wait(world.Create(pipeline, item("0.1234567890123456789")).name());
  EXPECT_EQ(world.Stage(one, "made").computed(), 1);
  EXPECT_EQ(world.Stage(two, "made").computed(), 1);
  EXPECT_EQ(world.Stage(same, "made").reused(), 1);
}

TEST(OddityTest, TheNewestDateIsReadHoweverItIsWritten) {
  World world;
  v1::Pipeline pipeline = Linear();
  v1::Newest& newest = *StageOf(pipeline, "told").mutable_expect()->mutable_newest_within();
  newest.set_field("day");
  newest.mutable_age()->set_seconds(3600);
  const int64_t now = world.clock.WallMicros() / 1'000'000;
  const auto item = [](int i, const std::string& day) {
    return fmt::format(R"({{"id":"d{}","text":"text {}","day":{}}})", i, i, day);
  };
  const v1::Run fresh =
      world.Wait(world.Create(pipeline, {item(0, std::to_string(now)), item(1, "\"01/03/2017\"")}).name());
  EXPECT_EQ(fresh.state(), v1::RUN_STATE_SUCCEEDED) << fresh.error().message();
  EXPECT_THAT(fresh.warnings(), ElementsAre(testing::HasSubstr("`day` can't be read as a date in 1 item, for example "
                                                               "\"01/03/2017\"")));
  const v1::Run unread = world.Wait(world.Create(pipeline, {item(0, "\"01/03/2017\"")}).name());
  EXPECT_EQ(unread.state(), v1::RUN_STATE_FAILED);
  EXPECT_THAT(unread.error().message(), testing::HasSubstr("no item has a date in `day` that can be read"));
}

}  // namespace
}  // namespace millrace
