#include "server/text/field_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace millrace {
namespace {

using testing::ElementsAre;

FieldTree TreeOf(const std::vector<const char*>& values) {
  FieldTree tree;
  for (const char* value : values) tree.AddValue(boost::json::parse(value));
  return tree;
}

TEST(FieldTreeTest, HasWhatSomeValueHas) {
  const FieldTree tree = TreeOf({R"({"a":1,"b":{"c":"x"}})", R"({"b":{"d":[{"e":1},{"f":2}]},"g":"text"})"});
  for (const char* path : {"a", "b", "b.c", "b.d", "b.d.0", "b.d.7.e", "b.d.0.f", "g", ""}) {
    EXPECT_NE(tree.Find(path), nullptr) << path;
  }
  for (const char* path : {"h", "a.x", "b.e", "b.d.e", "b.d.0.g", "g.length", "A"}) {
    EXPECT_EQ(tree.Find(path), nullptr) << path;
  }
  EXPECT_THAT(tree.Paths(), ElementsAre("a", "b", "b.c", "b.d", "g"));
}

TEST(FieldTreeTest, KnowsNothingBelowNullsAndEmptyLists) {
  const FieldTree tree = TreeOf({R"({"a":null,"list":[],"b":null})", R"({"b":"text"})"});
  EXPECT_NE(tree.Find("a.b.c"), nullptr);
  EXPECT_NE(tree.Find("list.0.name"), nullptr);
  EXPECT_NE(tree.Find("b"), nullptr);
  EXPECT_EQ(tree.Find("b.c"), nullptr);
}

TEST(FieldTreeTest, NamesWithDotsWinOverPaths) {
  const FieldTree tree = TreeOf({R"({"address.city":"x","geo.point":{"lat":1}})"});
  EXPECT_NE(tree.Find("address.city"), nullptr);
  EXPECT_NE(tree.Find("geo.point.lat"), nullptr);
  EXPECT_EQ(tree.Find("address"), nullptr);
  EXPECT_EQ(tree.Find("geo.lat"), nullptr);
}

TEST(FieldTreeTest, AnythingMayBeBelowWhatIsNotKnown) {
  EXPECT_NE(FieldTree::Any().Find("a.b"), nullptr);
  FieldTree tree;
  EXPECT_EQ(tree.Find("a"), nullptr);
  tree.Put("a.b");
  EXPECT_NE(tree.Find("a.b.c.d"), nullptr);
  EXPECT_EQ(tree.Find("a.c"), nullptr);
  FieldTree other;
  other.Member("z");
  tree.Add(other);
  EXPECT_NE(tree.Find("z"), nullptr);
  tree.Add(FieldTree::Any());
  EXPECT_NE(tree.Find("whatever"), nullptr);
}

}  // namespace
}  // namespace millrace
