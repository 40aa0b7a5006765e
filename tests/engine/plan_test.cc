#include "server/engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/engine/step/tolerance.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::ElementsAre;

StatusOr<Plan> Make(const std::vector<std::string>& stages) {
  const v1::Pipeline pipeline = MakePipeline(stages);
  std::vector<StageShape> shapes;
  for (const v1::Stage& stage : pipeline.stages()) {
    shapes.push_back(stage.has_fetch()     ? StageShape::kFetch
                     : stage.has_cluster() ? StageShape::kBarrier
                     : stage.has_store()   ? StageShape::kSink
                                           : StageShape::kPure);
  }
  return Plan::Make(pipeline, shapes);
}

TEST(PlanTest, OrdersStagesAfterWhatTheyNeed) {
  const auto plan = Make({"out:store:b,c", "c:cluster:a", "b:prepare:a", "a:fetch"});
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->order(), ElementsAre(3, 1, 2, 0));
  EXPECT_THAT(plan->After(1), ElementsAre(0));
  EXPECT_EQ(plan->Result(), 2);
  EXPECT_TRUE(plan->Streams(3, 2));
  EXPECT_FALSE(plan->Streams(3, 1));
}

TEST(PlanTest, RefusesPipelinesWithoutAPlan) {
  EXPECT_FALSE(Make({}).ok());
  EXPECT_FALSE(Make({"a:fetch", "b:prepare:nowhere"}).ok());
  EXPECT_FALSE(Make({"a:fetch", "b:prepare:c", "c:prepare:b"}).ok());
  EXPECT_FALSE(Make({"a:fetch", "a:fetch"}).ok());
  EXPECT_FALSE(Make({"a:prepare"}).ok());
  EXPECT_FALSE(Make({"a:fetch", "b:store:a", "c:prepare:b"}).ok());
  EXPECT_FALSE(Make({"a:fetch", "b:prepare:a,a"}).ok());
}

TEST(PlanTest, OrdinalsOfSeveralNeedsInterleave) {
  const auto plan = Make({"a:fetch", "b:fetch", "c:prepare:a,b"});
  ASSERT_TRUE(plan.ok());
  for (int need = 0; need < 2; ++need) {
    for (int64_t ordinal = 0; ordinal < 5; ++ordinal) {
      const Plan::Source source = plan->SourceOf(2, plan->OrdinalIn(2, need, ordinal));
      EXPECT_EQ(source.need, need);
      EXPECT_EQ(source.ordinal, ordinal);
    }
  }
}

TEST(ToleranceTest, ACountIsJudgedAtOnceAndAShareAtTheEnd) {
  v1::Tolerance tolerance;
  EXPECT_FALSE(Exceeds(tolerance, 100, 100, true));
  tolerance.set_count(0);
  EXPECT_TRUE(Exceeds(tolerance, 1, 100, false));
  tolerance.set_share(0);
  EXPECT_TRUE(Exceeds(tolerance, 1, 100, false));
  tolerance.set_share(0.29);
  EXPECT_FALSE(Exceeds(tolerance, 50, 60, false));
  EXPECT_FALSE(Exceeds(tolerance, 29, 100, true));
  EXPECT_TRUE(Exceeds(tolerance, 30, 100, true));
  tolerance.set_share(1);
  EXPECT_FALSE(Exceeds(tolerance, 100, 100, true));
}

}  // namespace
}  // namespace millrace
