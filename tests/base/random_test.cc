#include "server/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace millrace {
namespace {

TEST(RandomTest, ASeedGivesItsNumbersOnEveryMachine) {
  Random random(1);
  EXPECT_EQ(random.Next(), 12966619160104079557u);
  EXPECT_EQ(random.Next(), 9600361134598540522u);
  EXPECT_EQ(Random(7).Name(8), Random(7).Name(8));
  EXPECT_NE(Random(7).Next(), Random(8).Next());
}

TEST(RandomTest, BelowIsUniformAndStaysBelow) {
  Random random(42);
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 60000; ++i) ++counts[random.Below(6)];
  ASSERT_EQ(counts.size(), 6u);
  for (const auto& [value, count] : counts) EXPECT_NEAR(count, 10000, 500) << value;
  EXPECT_EQ(random.Below(0), 0u);
  EXPECT_EQ(random.Below(1), 0u);
}

TEST(RandomTest, NormalHasMeanZeroAndVarianceOne) {
  Random random(3);
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = random.Normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 100000, 0, 0.02);
  EXPECT_NEAR(squares / 100000, 1, 0.03);
}

TEST(RandomTest, NamesHaveNoCharactersThatLookAlike) {
  Random random(5);
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = random.Name(16);
    EXPECT_EQ(name.size(), 16u);
    EXPECT_EQ(name.find_first_of("lo01"), std::string::npos) << name;
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 1000u);
}

}  // namespace
}  // namespace millrace
