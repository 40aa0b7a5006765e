#include "tools/agreement/scores.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

Scores Of(const std::vector<std::string>& found, const std::vector<std::string>& truth) {
  return ScoresOf(LabelsOf(found), LabelsOf(truth));
}

TEST(ScoresTest, AreOneWhereTheGroupsAreTheFamilies) {
  const Scores scores = Of({"x", "x", "y", ""}, {"a", "a", "b", "c"});
  EXPECT_DOUBLE_EQ(scores.precision, 1);
  EXPECT_DOUBLE_EQ(scores.recall, 1);
  EXPECT_DOUBLE_EQ(scores.f1, 1);
  EXPECT_DOUBLE_EQ(scores.pairwise_f1, 1);
  EXPECT_DOUBLE_EQ(scores.assigned, 0.5);
}

// Worked out by hand: precision (2/3 + 2/3 + 1/3 + 1) / 4, recall (1 + 1 + 1/2 + 1/2) / 4.
TEST(ScoresTest, AverageOverItems) {
  const Scores scores = Of({"x", "x", "x", ""}, {"a", "a", "b", "b"});
  EXPECT_NEAR(scores.precision, 2.0 / 3, 1e-12);
  EXPECT_NEAR(scores.recall, 0.75, 1e-12);
  EXPECT_NEAR(scores.f1, 2 * (2.0 / 3) * 0.75 / (2.0 / 3 + 0.75), 1e-12);
}

TEST(ScoresTest, ItemsWithoutAGroupStandAlone) {
  EXPECT_EQ(LabelsOf({"", "x", "", "x"}), (Labels{0, 1, 2, 1}));
  EXPECT_EQ(EachAlone(3), (Labels{0, 1, 2}));
  const Scores scores = Of({"", "", ""}, {"a", "a", "a"});
  EXPECT_DOUBLE_EQ(scores.precision, 1);
  EXPECT_NEAR(scores.recall, 1.0 / 3, 1e-12);
  EXPECT_DOUBLE_EQ(scores.assigned, 0);
}

TEST(ScoresTest, MatchFamiliesOfThreeByTheHalfOfBoth) {
  // One item of b with those of a, worked out by hand.
  const Scores scores = Of({"x", "x", "x", "y", "y"}, {"a", "a", "b", "b", "b"});
  EXPECT_NEAR(scores.precision, (2.0 / 3 + 2.0 / 3 + 1.0 / 3 + 1 + 1) / 5, 1e-12);
  EXPECT_NEAR(scores.recall, (1 + 1 + 1.0 / 3 + 2.0 / 3 + 2.0 / 3) / 5, 1e-12);
  EXPECT_NEAR(scores.pairwise_f1, 0.5, 1e-12);
  EXPECT_EQ(scores.found, 1u);
  EXPECT_EQ(scores.truth, 1u);
  EXPECT_EQ(scores.matched, 1u);
}

TEST(ScoresTest, OfNothingAreZero) { EXPECT_DOUBLE_EQ(ScoresOf({}, {}).f1, 0); }

}  // namespace
}  // namespace millrace
