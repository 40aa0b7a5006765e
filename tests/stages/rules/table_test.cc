#include "server/stages/rules/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TableTest, IsReadByRfc4180) {
  const auto table = ReadTable("\xef\xbb\xbfname,note\r\n\"a, b\",\"say \"\"x\"\"\"\r\nc,\n\"two\nlines\",d");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->columns, ElementsAre("name", "note"));
  EXPECT_THAT(table->rows,
              ElementsAre(ElementsAre("a, b", "say \"x\""), ElementsAre("c", ""), ElementsAre("two\nlines", "d")));
}

TEST(TableTest, IsRefusedIfAnyRowIsWrong) {
  const auto message = [](std::string_view csv) { return std::string(MessageOf(ReadTable(csv).status())); };
  EXPECT_THAT(message("a,b\n\"x\ny\",1\nz\n"), HasSubstr("line 4"));
  EXPECT_THAT(message("a\nb\n\"x"), HasSubstr("line 3"));
  EXPECT_THAT(message("a,a\nb,c\n"), HasSubstr("twice"));
  EXPECT_THAT(message("a\n"), HasSubstr("no rows"));
  EXPECT_FALSE(ReadTable("").ok());
}

}  // namespace
}  // namespace millrace::rules
