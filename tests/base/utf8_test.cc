#include "server/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

TEST(Utf8Test, FindsTheFirstWrongByteAtAnyOffset) {
  using std::string_literals::operator""s;
  // Overlong forms, a surrogate, a character above U+10FFFF, bytes that begin no character, and a character cut off.
  for (const std::string& wrong : {"\xc0\xaf"s, "\xe0\x80\xaf"s, "\xf0\x8f\xbf\xbf"s, "\xed\xa0\x80"s,
                                   "\xf4\x90\x80\x80"s, "\x80"s, "\xff"s, "\xe2\x82"s}) {
    for (const std::string& before : {""s, "ascii"s, "twenty ASCII letters"s, "Zürich €😀"s, std::string(9, '\0')}) {
      for (const std::string& after : {""s, "ascii"s, "twenty ASCII letters"s}) {
        EXPECT_EQ(Utf8End(before + wrong + after), before.size()) << before << " " << after;
      }
      EXPECT_TRUE(IsUtf8(before)) << before;
    }
  }
}

TEST(Utf8Test, StepsFromCharacterToCharacter) {
  const std::string text = "aä€😀";
  const size_t begins[] = {0, 1, 3, 6, 10};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(NextCharacter(text, begins[i]), begins[i + 1]);
    EXPECT_EQ(PreviousCharacter(text, begins[i + 1]), begins[i]);
  }
  EXPECT_EQ(NextCharacter(text, text.size()), text.size() + 1);
  EXPECT_EQ(NextCharacter("\x80\x80", 0), 2u);
  EXPECT_EQ(PreviousCharacter("\x80\x80", 2), 0u);
}

TEST(Utf8Test, APrefixNeverEndsInsideACharacter) {
  const std::string text = "aä€";
  const std::string expected[] = {"", "a", "a", "aä", "aä", "aä", text, text};
  for (size_t bytes = 0; bytes < std::size(expected); ++bytes) EXPECT_EQ(Utf8Prefix(text, bytes), expected[bytes]);
  EXPECT_EQ(Utf8Prefix("\x80\x80", 1), "");
}

}  // namespace
}  // namespace millrace
