#include "server/base/descriptors.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(DescriptorsTest, TheStoreComesFirst) {
  for (const int64_t limit : {0, 1, 100, 128, 129, 256, 1024, 20'000, 1 << 20}) {
    const DescriptorShares shares = DivideDescriptors(limit);
    EXPECT_EQ(shares.store + shares.incoming + shares.outgoing, limit);
    EXPECT_GE(shares.incoming, 0);
    EXPECT_GE(shares.outgoing, shares.incoming);
    EXPECT_GE(shares.store, std::min<int64_t>(limit, 128));
    EXPECT_LE(shares.tables, shares.store / 2);
  }
  EXPECT_EQ(DivideDescriptors(1024).store, 256);
  EXPECT_EQ(DivideDescriptors(1024).outgoing, 384);
}

TEST(DescriptorsTest, TheLimitIsThatOfTheProcess) {
  RaiseDescriptorLimit();
  const int64_t raised = DescriptorLimit();
  EXPECT_GE(raised, 128);
  RaiseDescriptorLimit();
  EXPECT_EQ(DescriptorLimit(), raised);
}

}  // namespace
}  // namespace millrace
