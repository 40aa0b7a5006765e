#include "server/stages/rules/gazetteer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::rules {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Gazetteer Make(std::string_view csv) {
  auto gazetteer = Gazetteer::Make(*ReadTable(csv));
  EXPECT_TRUE(gazetteer.ok()) << gazetteer.status();
  return *std::move(gazetteer);
}

// The `place` of every row found.
std::vector<std::string> Found(const Gazetteer& gazetteer, std::string_view text) {
  std::vector<std::string> found;
  for (const GazetteerMatch& match : gazetteer.Search(text)) {
    found.emplace_back(gazetteer.Cell(match.row, *gazetteer.Column("place")));
  }
  return found;
}

constexpr std::string_view kPlaces =
    "name,case,place\n"
    "Niger,,NER\n"
    "Nigeria|Nigerian|Nigerians,,NGA\n"
    "Mexico|Mexican,,MEX\n"
    "New Mexico,,USA\n"
    "US|U.S|U.S.A,exact,USA\n"
    "Guinea,,GIN\n"
    "Guinea Bissau,,GNB\n"
    "Papua New Guinea,,PNG\n"
    "Turkey|Türkiye,exact,TUR\n"
    "turkey shoot,exact,sport\n"
    "Georgia,,GEO\n"
    "Georgia,,USA-GA\n"
    "中国,,CHN\n";

TEST(Gazetteer, FindsWholeWordsOnly) {
  const Gazetteer places = Make(kPlaces);
  EXPECT_THAT(Found(places, "In Niger, Nigerians met."), ElementsAre("NER", "NGA"));
  EXPECT_THAT(Found(places, "Nigeriana and the Nigers"), IsEmpty());
  EXPECT_THAT(Found(places, "NIGER's army"), ElementsAre("NER"));
  EXPECT_THAT(Found(places, "(Niger)-Mexico"), ElementsAre("NER", "MEX"));
}

TEST(Gazetteer, TheLongestNameWins) {
  const Gazetteer places = Make(kPlaces);
  EXPECT_THAT(Found(places, "New Mexico and Mexico"), ElementsAre("USA", "MEX"));
  EXPECT_THAT(Found(places, "Papua New Guinea, Guinea-Bissau, Guinea"), ElementsAre("PNG", "GNB", "GIN"));
  EXPECT_THAT(Found(places, "Papua New Mexico"), ElementsAre("USA"));
}

TEST(Gazetteer, CaseCountsWhereTheRowSaysSo) {
  const Gazetteer places = Make(kPlaces);
  EXPECT_THAT(Found(places, "US told us that the U.S. and the U.S.A. agree"), ElementsAre("USA", "USA", "USA"));
  EXPECT_THAT(Found(places, "a turkey in Turkey"), ElementsAre("TUR"));
  EXPECT_THAT(Found(places, "TURKEY turkish"), IsEmpty());
  EXPECT_THAT(Found(places, "a turkey shoot"), ElementsAre("sport"));
  EXPECT_THAT(Found(places, "mexico"), ElementsAre("MEX"));
}

TEST(Gazetteer, EveryRowOfANameIsFound) {
  EXPECT_THAT(Found(Make(kPlaces), "Georgia votes"), ElementsAre("GEO", "USA-GA"));
}

TEST(Gazetteer, WritingsWithoutSpacesAreSearchedToo) {
  EXPECT_THAT(Found(Make(kPlaces), "今天中国人"), ElementsAre("CHN"));
}

TEST(Gazetteer, MatchesSayWhereTheyStand) {
  const std::string text = "São Guinea–Bissau!";
  const auto matches = Make(kPlaces).Search(text);
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(text.substr(matches[0].begin, matches[0].end - matches[0].begin), "Guinea–Bissau");
}

TEST(Gazetteer, WrongRowsAreRefused) {
  const auto message = [](std::string_view csv) {
    return std::string(MessageOf(Gazetteer::Make(*ReadTable(csv)).status()));
  };
  EXPECT_THAT(message("names\nx\n"), HasSubstr("no column `name`"));
  EXPECT_THAT(message("name\na\na||b\n"), HasSubstr("row 2 after the header: name"));
  EXPECT_THAT(message("name,case\na,Any\n"), HasSubstr("case: expected exact or any, got Any"));
  EXPECT_THAT(message("name,weight\na,-1\n"), HasSubstr("weight: expected a number above 0, got -1"));
}

}  // namespace
}  // namespace millrace::rules
