#include "server/text/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "server/base/work_meter.h"

namespace millrace {
namespace {

using testing::HasSubstr;

Pattern Compiled(std::string_view text) {
  StatusOr<Pattern> pattern = Pattern::Compile(text);
  EXPECT_TRUE(pattern.ok()) << text << ": " << pattern.status();
  return *std::move(pattern);
}

std::string Times(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(PatternTest, RefusesWhatIsNotRe2AndWhatIsTooLarge) {
  EXPECT_THAT(MessageOf(Pattern::Compile("(").status()), HasSubstr("not an RE2 pattern"));
  // Took 38 s to compile.
  EXPECT_THAT(MessageOf(Pattern::Compile(Times("[a-z]{1,1000}", 60)).status()), HasSubstr("more than 10000 parts"));
  EXPECT_THAT(MessageOf(Pattern::Compile("((a{30}){30}b){30}").status()), HasSubstr("more than 10000 parts"));
  EXPECT_THAT(MessageOf(Pattern::Compile("(" + Times("ab", 300) + "){20,}x{0,1000}").status()),
              HasSubstr("more than 10000 parts"));
}

TEST(PatternTest, AcceptsWhatPeopleWrite) {
  for (const char* text :
       {"", "^a+$", "[]{}]{3}", "[^]]{2,}", R"(\{1000\}x{)", "a{,5}", R"((?i)\b\pL{2,30}\b)", "[[:alpha:]{]{500}",
        R"(^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?Z?$)", "a{1000}", "(?:x{0,9}y{0,9}){0,99}"}) {
    Compiled(text);
  }
  std::string words = "alpha";
  for (int i = 0; i < 400; ++i) words += "|word" + std::to_string(i);
  EXPECT_TRUE(Compiled(words).Matches("it is word399"));
}

TEST(PatternTest, ABoundedPatternAtTheBeginningSearchesAnyText) {
  const Pattern pattern = Compiled("(?s)^.{1,1000}" + Times(".{0,1000}", 5));
  WorkMeter meter({});
  re2::StringPiece match;
  EXPECT_TRUE(pattern.Find(std::string(4 << 20, 'a'), 0, &match, 1));
  EXPECT_EQ(match.size(), 6000u);
  EXPECT_TRUE(meter.status().ok());
  EXPECT_LT(pattern.CostOf(4 << 20), 25'000 * pattern.width());
  for (const char* text : {"^a|b{1,9}", "(?m)^a", "^a*", "^a{2,}", "a{1,9}"}) {
    EXPECT_EQ(Compiled(text).CostOf(1 << 20), (1 << 20) * Compiled(text).width()) << text;
  }
}

TEST(PatternTest, FindsMatchesAndGroups) {
  const Pattern pattern = Compiled("b(.)");
  re2::StringPiece match[2];
  ASSERT_TRUE(pattern.Find("abcbd", 2, match, 2));
  EXPECT_EQ(std::string(match[1]), "d");
  EXPECT_TRUE(Compiled("a|ab").MatchesWhole("ab"));
  EXPECT_FALSE(Compiled("a|ab").MatchesWhole("abc"));
}

TEST(PatternTest, ReplacesAsRe2Does) {
  for (const char* text : {"", "a", "abc", "aabaa", "für — über", "a\nb", "bbb"}) {
    for (const char* pattern : {"", "a*", "b", "(a)(b)?", "$", "^", ".", R"(\b)", "x*", "a|"}) {
      for (const char* with : {"", "-", R"([\0])", R"(\\\0)"}) {
        std::string expected = text;
        const int count = re2::RE2::GlobalReplace(&expected, pattern, with);
        std::string replaced = text;
        EXPECT_EQ(Compiled(pattern).ReplaceAll(replaced, with, 1000), static_cast<size_t>(count))
            << text << pattern << with;
        EXPECT_EQ(replaced, expected) << "text: " << text << ", pattern: " << pattern << ", with: " << with;
      }
    }
  }
}

TEST(PatternTest, EndsAReplacementBeforeItTakesMemory) {
  std::string text(1 << 20, 'x');
  WorkMeter meter({});
  // 2,000 copies of 1 MB.
  EXPECT_EQ(Compiled("x+").ReplaceAll(text, Times(R"(\0)", 2000), 2 << 20), 0u);
  EXPECT_THAT(MessageOf(meter.status()), HasSubstr("more than 2097152 bytes"));
  EXPECT_EQ(text.size(), size_t{1} << 20);
}

TEST(PatternTest, RefusesATextThatIsTooLargeForThePattern) {
  // Took 38 s for 1 MB.
  const Pattern pattern = Compiled("[ab]*a[ab]{900}[xyz]");
  WorkMeter meter({});
  EXPECT_FALSE(pattern.Matches(std::string(1 << 20, 'a')));
  EXPECT_EQ(ReasonOf(meter.status()), Reason::kBadItem);
  EXPECT_THAT(MessageOf(meter.status()), HasSubstr("too large to search a text of 1048576 bytes"));
}

TEST(PatternTest, EndsASearchForEveryMatchThatTakesTheSquareOfTheText) {
  // Each match looks for a `b` to the end of the text.
  const Pattern pattern = Compiled("a(.*b)?");
  std::string text(1'000'000, 'a');
  WorkMeter meter({.cpu = std::chrono::milliseconds(50), .name = "the rules"});
  EXPECT_EQ(pattern.ReplaceAll(text, "x", 10'000'000), 0u);
  EXPECT_THAT(MessageOf(meter.status()), HasSubstr("the rules takes more than 50 ms of CPU time"));
}

}  // namespace
}  // namespace millrace
