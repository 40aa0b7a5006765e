#include "server/base/histogram.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(HistogramTest, QuantilesAreAtMostA32ndTooLarge) {
  Histogram one;
  one.Add(Duration(1 << 20));
  one.Add(Duration::max());
  EXPECT_EQ(one.Quantile(0.5), Duration((1 << 20) / 32 * 33));

  Histogram histogram;
  for (int i = 1; i <= 100000; ++i) histogram.Add(Duration(i * 10));
  EXPECT_EQ(histogram.count(), 100000u);
  EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.5).count()), 500000, 15625);
  EXPECT_NEAR(static_cast<double>(histogram.Quantile(0.999).count()), 999000, 31250);
  EXPECT_EQ(histogram.Quantile(1.0), Duration(1000000));
  EXPECT_EQ(histogram.max(), Duration(1000000));
}

TEST(HistogramTest, TakesTheSmallestAndTheLargestDurations) {
  Histogram histogram;
  EXPECT_EQ(histogram.Quantile(0.5), Duration(0));
  histogram.Add(Duration(-5));
  EXPECT_EQ(histogram.Quantile(0.5), Duration(0));
  histogram.Add(Duration::max());
  EXPECT_EQ(histogram.Quantile(1.0), Duration::max());
}

}  // namespace
}  // namespace millrace
