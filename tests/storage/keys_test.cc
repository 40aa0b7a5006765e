#include "server/storage/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <tuple>
#include <vector>

#include "server/base/random.h"
#include "server/storage/store.h"

namespace millrace {
namespace {

TEST(KeysTest, BeginWithTenantAndTable) {
  EXPECT_EQ(KeyBuilder(Table::kRun).str(), std::string("\0r", 2));
  EXPECT_EQ(KeyBuilder(Table::kRun, 7).str(), "\7r");
}

TEST(KeysTest, AReaderReturnsThePartsThatABuilderAppended) {
  const Digest digest = Digest::Of("x");
  const std::string text("a\0\xff\1b", 5);
  const std::string key = KeyBuilder(Table::kItem).Text(text).Number(-5).Key(digest).Text("").Number(7);
  KeyReader reader(key);
  EXPECT_EQ(reader.Text(), text);
  EXPECT_EQ(reader.Number(), -5);
  EXPECT_EQ(reader.Key(), digest);
  EXPECT_EQ(reader.Text(), "");
  EXPECT_EQ(reader.Number(), 7);
  EXPECT_EQ(reader.Number(), std::nullopt);
}

TEST(KeysTest, AReaderRefusesEveryTruncatedKey) {
  const std::string key = KeyBuilder(Table::kItem).Text(std::string("a\0b", 3)).Number(1).Key(Digest::Of("x"));
  for (size_t length = 0; length < key.size(); ++length) {
    KeyReader reader(std::string_view(key).substr(0, length));
    EXPECT_FALSE(reader.Text() && reader.Number() && reader.Key()) << length;
  }
}

TEST(KeysTest, AReaderRefusesAnUnknownEscape) {
  const std::string key("\0rab\0\2", 6);
  KeyReader reader(key);
  EXPECT_EQ(reader.Text(), std::nullopt);
}

TEST(KeysTest, SortAsTheirPartsDo) {
  Random random(1);
  // Texts of bytes that the encoding escapes, and their neighbours.
  const auto text = [&random] {
    std::string text;
    for (uint64_t i = random.Below(4); i > 0; --i) text.push_back("\0\1\2\xfe\xff"[random.Below(5)]);
    return text;
  };
  const std::vector<int64_t> numbers = {std::numeric_limits<int64_t>::min(), -256, -1, 0, 1, 255, 256,
                                        std::numeric_limits<int64_t>::max()};
  using Parts = std::tuple<std::string, std::string, int64_t>;
  const auto less = [](const Parts& a, const Parts& b) {
    const auto compare = [](const std::string& x, const std::string& y) { return x.compare(y); };
    if (const int order = compare(std::get<0>(a), std::get<0>(b)); order != 0) return order < 0;
    if (const int order = compare(std::get<1>(a), std::get<1>(b)); order != 0) return order < 0;
    return std::get<2>(a) < std::get<2>(b);
  };
  const auto encode = [](const Parts& parts) {
    return KeyBuilder(Table::kItem).Text(std::get<0>(parts)).Text(std::get<1>(parts)).Number(std::get<2>(parts)).str();
  };
  for (int i = 0; i < 20'000; ++i) {
    const Parts a{text(), text(), numbers[random.Below(numbers.size())]};
    const Parts b{text(), text(), numbers[random.Below(numbers.size())]};
    ASSERT_EQ(less(a, b), encode(a) < encode(b));
  }
}

TEST(KeysTest, NoTextIsAPrefixOfAnothers) {
  Random random(2);
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (uint64_t n = random.Below(4); n > 0; --n) text.push_back("\0\1\xff"[random.Below(3)]);
    keys.push_back(KeyBuilder(Table::kItem).Text(text));
  }
  for (const std::string& a : keys) {
    for (const std::string& b : keys) {
      if (a != b) {
        EXPECT_FALSE(b.starts_with(a));
      }
    }
  }
}

TEST(PrefixEndTest, IsTheFirstKeyAfterAllThatBeginWithThePrefix) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff\xff"), "b");
  EXPECT_EQ(PrefixEnd("a\x7f"), "a\x80");
  EXPECT_EQ(PrefixEnd("\xff"), "");
}

}  // namespace
}  // namespace millrace
