#include "server/stages/rules/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::rules {
namespace {

using testing::ElementsAre;

std::vector<std::string> Keys(std::string_view text) {
  WordScan scan;
  ScanWords(text, scan);
  std::vector<std::string> keys;
  for (const Word& word : scan.words) keys.emplace_back(keys.empty() ? scan.Key(word) : scan.KeyWithGap(word));
  return keys;
}

TEST(Words, AreFoldedWithoutCaseAndAccents) {
  EXPECT_THAT(Keys("São TOMÉ"), ElementsAre("sao", " tome"));
  EXPECT_THAT(Keys("Straße ﬂag"), ElementsAre("strasse", " flag"));
  EXPECT_THAT(Keys("Ελλάδα Россия"), ElementsAre("ελλαδα", " россия"));
}

TEST(Words, CombiningMarksBelongToTheirLetter) { EXPECT_THAT(Keys("Sa\u0303o"), ElementsAre("sao")); }

TEST(Words, SpacesHyphensAndDashesAreOneGap) {
  EXPECT_THAT(Keys("Guinea - Bissau"), ElementsAre("guinea", " bissau"));
  EXPECT_THAT(Keys("Guinea\u2013\u00a0Bissau"), ElementsAre("guinea", " bissau"));
}

TEST(Words, OtherGapsAreKept) {
  EXPECT_THAT(Keys("U.S."), ElementsAre("u", ".s"));
  EXPECT_THAT(Keys("Côte d’Ivoire, now"), ElementsAre("cote", " d", "'ivoire", ", now"));
}

TEST(Words, CharactersOfWritingsWithoutSpacesStandAlone) {
  EXPECT_THAT(Keys("在中国A1"), ElementsAre("在", "中", "国", "a1"));
}

TEST(Words, BrokenBytesStandBetweenWords) {
  EXPECT_THAT(Keys("a\xff"
                   "b"),
              ElementsAre("a",
                          "\ufffd"
                          "b"));
  EXPECT_THAT(Keys(""), ElementsAre());
  EXPECT_THAT(Keys("\xe4"), ElementsAre());
}

TEST(Words, AnExactNameKeepsItsCase) {
  const std::string text = "the U.S.  Virgin-Islands!";
  WordScan scan;
  ScanWords(text, scan);
  ASSERT_EQ(scan.words.size(), 5u);
  EXPECT_EQ(ExactName(text, scan, 1, 4), "U.S. Virgin Islands");
}

}  // namespace
}  // namespace millrace::rules
