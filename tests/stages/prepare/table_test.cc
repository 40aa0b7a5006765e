#include "server/stages/prepare/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Table, IsReadByRfc4180) {
  const auto table = ReadTable("\xef\xbb\xbfname,note\r\n\"a, b\",\"say \"\"x\"\"\"\r\nc,\n\"two\nlines\",d");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->columns, ElementsAre("name", "note"));
  EXPECT_THAT(table->rows,
              ElementsAre(ElementsAre("a, b", "say \"x\""), ElementsAre("c", ""), ElementsAre("two\nlines", "d")));
}

TEST(Table, SaysOnWhichLineARowIsWrong) {
  const auto message = [](std::string_view csv) { return std::string(MessageOf(ReadTable(csv).status())); };
  EXPECT_THAT(message("a,b\n\"x\ny\",1\nz\n"), HasSubstr("line 4: expected 2 fields, got 1"));
  EXPECT_THAT(message("a\n\"x"), HasSubstr("line 2: a quote is not closed"));
  EXPECT_THAT(message("a\n\"x\"y\n"), HasSubstr("line 2: text behind a closing quote"));
  EXPECT_THAT(message("a\nx\"y\n"), HasSubstr("line 2: a quote"));
  EXPECT_THAT(message("a,a\n"), HasSubstr("line 1: every column needs a name of its own"));
  EXPECT_THAT(message(""), HasSubstr("line 1: expected a header"));
}

}  // namespace
}  // namespace millrace
