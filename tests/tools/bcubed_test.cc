#include "tools/agreement/bcubed.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(BCubed, IsOneWhereTheGroupsAreTheFamilies) {
  const Agreement agreement = BCubed({"x", "x", "y", ""}, {"a", "a", "b", "c"});
  EXPECT_DOUBLE_EQ(agreement.precision, 1);
  EXPECT_DOUBLE_EQ(agreement.recall, 1);
  EXPECT_DOUBLE_EQ(agreement.f1, 1);
}

// Worked out by hand: precision (2/3 + 2/3 + 1/3 + 1) / 4, recall (1 + 1 + 1/2 + 1/2) / 4.
TEST(BCubed, AveragesOverItems) {
  const Agreement agreement = BCubed({"x", "x", "x", ""}, {"a", "a", "b", "b"});
  EXPECT_NEAR(agreement.precision, 2.0 / 3, 1e-12);
  EXPECT_NEAR(agreement.recall, 0.75, 1e-12);
  EXPECT_NEAR(agreement.f1, 2 * (2.0 / 3) * 0.75 / (2.0 / 3 + 0.75), 1e-12);
}

TEST(BCubed, ItemsWithoutAGroupStandAlone) {
  const Agreement agreement = BCubed({"", "", ""}, {"a", "a", "a"});
  EXPECT_DOUBLE_EQ(agreement.precision, 1);
  EXPECT_NEAR(agreement.recall, 1.0 / 3, 1e-12);
}

}  // namespace
}  // namespace millrace
