#include "server/base/digest.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(DigestTest, IsSha256) {
  // FIPS 180-4, example "abc".
  EXPECT_EQ(Digest::Of("abc").Hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Digester digester;
  digester.Add("a").Add("bc");
  EXPECT_EQ(digester.Finish(), Digest::Of("abc"));
}

TEST(DigestTest, PartsAreDelimited) {
  Digester one;
  one.AddPart("a").AddPart("bc");
  Digester other;
  other.AddPart("ab").AddPart("c");
  EXPECT_NE(one.Finish(), other.Finish());
}

TEST(DigestTest, IsMadeFromThirtyTwoBytesOnly) {
  const Digest digest = Digest::Of("x");
  EXPECT_EQ(Digest::FromBytes(digest.bytes()), digest);
  EXPECT_FALSE(Digest::FromBytes("short").has_value());
}

}  // namespace
}  // namespace millrace
