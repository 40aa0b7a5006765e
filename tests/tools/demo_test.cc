// The demo's titles through the stages of news-events with the pipeline's own parameters: the least agreement with
// their true families that it must have, so that a change that spoils it is seen where no labelled set is at hand.
#include <gtest/gtest.h>

#include "tests/bench/families.h"
#include "tests/bench/labelled_sets.h"
#include "tests/bench/news_events.h"

namespace millrace {
namespace {

TEST(Demo, MostTrueFamiliesOfItsTitlesAreFound) {
  const StatusOr<v1::Pipeline> pipeline = LoadNewsEvents();
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  const StatusOr<LabelledSet> demo = DemoTitles(StageNamed(*pipeline, "titles").fetch());
  ASSERT_TRUE(demo.ok()) << demo.status();
  ASSERT_EQ(demo->items.size(), 7483u);
  StatusOr<std::vector<InputItem>> prepared = Prepared(*pipeline, demo->items);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  const StatusOr<std::vector<InputItem>> families = FamiliesOf(*pipeline, *std::move(prepared));
  ASSERT_TRUE(families.ok()) << families.status();
  const StatusOr<Labels> found = FamilyLabels(*families, demo->items);
  ASSERT_TRUE(found.ok()) << found.status();
  const Scores scores = ScoresOf(*found, LabelsOf(demo->labels.at("family")));
  EXPECT_GE(scores.f1, 0.9);
  EXPECT_GE(scores.precision, 0.83);
  EXPECT_GE(scores.recall, 0.95);
}

}  // namespace
}  // namespace millrace
