#include "server/text/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/text/stem.h"
#include "server/text/stop_words.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Words(std::string_view text, size_t max = 0) {
  std::vector<std::string> words;
  for (const Token& token : Tokenize(text, max)) words.push_back(token.text);
  return words;
}

std::vector<std::string> Names(std::string_view text) {
  std::vector<std::string> names;
  for (const Token& token : Tokenize(text)) {
    if (token.evidence == NameEvidence::kName) names.push_back(token.text);
  }
  return names;
}

TEST(TokensTest, SplitsTextIntoFoldedWords) {
  EXPECT_THAT(Words("Fed official: weak DATA, \"caused\" by weather"),
              ElementsAre("fed", "official", "weak", "data", "caused", "by", "weather"));
  EXPECT_THAT(Words("São Paulo; SAO PAULO; sa\xCC\x83o paulo"),
              ElementsAre("sao", "paulo", "sao", "paulo", "sao", "paulo"));
  EXPECT_THAT(Words("Straße ΑΘΗΝΑ Ёлка"), ElementsAre("strasse", "αθηνα", "елка"));
}

TEST(TokensTest, KeepsWordsWithInnerPunctuationWhole) {
  EXPECT_THAT(Words("McDonald's don't O’Neill's"), ElementsAre("mcdonald", "dont", "oneill"));
  EXPECT_THAT(Words("U.S. and U.K. troops"), ElementsAre("us", "and", "uk", "troops"));
  EXPECT_THAT(Words("1,000 of 3.5 in COVID-19, F-16 and G-20"),
              ElementsAre("1000", "of", "3.5", "in", "covid19", "f16", "and", "g20"));
  EXPECT_THAT(Words("stay-at-home, e.g."), ElementsAre("stay", "at", "home", "eg"));
}

TEST(TokensTest, GivesPairsOfCharactersForScriptsWithoutSpaces) {
  EXPECT_THAT(Words("東京都で"), ElementsAre("東京", "京都", "都で"));
  EXPECT_THAT(Words("猫 runs"), ElementsAre("猫", "runs"));
}

TEST(TokensTest, RecognisesNamesByCapitalsInsideSentences) {
  EXPECT_THAT(Names("Soldiers in Mali arrest president Keita. Thousands cheer in Bamako."),
              ElementsAre("mali", "keita", "bamako"));
  EXPECT_THAT(Names("Soldiers Arrest President in Coup"), IsEmpty());
  EXPECT_THAT(Names("SOLDIERS ARREST PRESIDENT"), IsEmpty());
}

TEST(TokensTest, DistinguishesAcronymsFromFunctionWords) {
  const std::vector<Token> tokens = Tokenize("WHO says who it was");
  EXPECT_TRUE(tokens[0].acronym);
  EXPECT_FALSE(tokens[2].acronym);
}

TEST(TokensTest, SaysWhichWordsFollowEachOther) {
  const std::vector<Token> tokens = Tokenize("white house, red line");
  EXPECT_FALSE(tokens[0].joined);
  EXPECT_TRUE(tokens[1].joined);
  EXPECT_FALSE(tokens[2].joined);
}

TEST(TokensTest, StopsAtTheLimit) {
  EXPECT_THAT(Words("one two three four", 2), ElementsAre("one", "two"));
  EXPECT_THAT(Words("東京都で", 2), ElementsAre("東京", "京都"));
}

TEST(TokensTest, SurvivesAnyBytes) {
  EXPECT_THAT(Words(""), IsEmpty());
  EXPECT_THAT(Words("\xFF\xFE...'''---"), IsEmpty());
  EXPECT_THAT(Words("ab\xC3"), ElementsAre("ab"));
  EXPECT_THAT(Words("a\xF0\x9F\x99\x82"
                    "b"),
              ElementsAre("a", "b"));
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes.push_back(static_cast<char>((i * 7919) >> 3));
  Tokenize(bytes);
}

TEST(StemTest, IsEqualForTheFormsOfAWord) {
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{{"strikes", "striking"},
                                                                                    {"strike", "strikes"},
                                                                                    {"stopped", "stop"},
                                                                                    {"stopping", "stops"},
                                                                                    {"countries", "country"},
                                                                                    {"killed", "kill"},
                                                                                    {"killing", "kills"},
                                                                                    {"churches", "church"},
                                                                                    {"tapering", "taper"},
                                                                                    {"elections", "election"},
                                                                                    {"protested", "protests"},
                                                                                    {"dies", "dies"}}) {
    EXPECT_EQ(Stem(left), Stem(right)) << left << " " << right;
  }
}

TEST(StemTest, DiffersForDifferentWords) {
  for (const char* word :
       {"us", "bus", "news2", "virus", "crisis", "congress", "king", "red", "spring", "speed", "мир"}) {
    EXPECT_EQ(Stem(word), word);
  }
}

TEST(StopWordsTest, AreFunctionWordsOnly) {
  EXPECT_TRUE(IsStopWord("the"));
  EXPECT_TRUE(IsStopWord("yourself"));
  EXPECT_FALSE(IsStopWord("war"));
  EXPECT_FALSE(IsStopWord(""));
}

}  // namespace
}  // namespace millrace
