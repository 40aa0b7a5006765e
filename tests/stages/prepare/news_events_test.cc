// The gazetteers of news-events: that they know every country, agree with themselves, and are right on real titles.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "server/base/json.h"
#include "server/files/file_access.h"
#include "server/stages/prepare/prepare.h"
#include "server/stages/rules/rules.h"
#include "server/stages/rules/table.h"
#include "server/stages/stage_work.h"
#include "tests/bench/news_events.h"
#include "tests/bench/theater.h"

namespace millrace {
namespace {

namespace json = boost::json;
using testing::Contains;

// A table of which cells are read by their column's name.
class NamedTable {
 public:
  explicit NamedTable(const std::string& path) : table_(*rules::ReadTable(*ReadWholeFile(path))) {}

  size_t size() const { return table_.rows.size(); }
  std::string At(size_t row, const std::string& column) const {
    for (size_t i = 0; i < table_.columns.size(); ++i) {
      if (table_.columns[i] == column) return table_.rows[row][i];
    }
    ADD_FAILURE() << "no column " << column;
    return "";
  }

 private:
  rules::Table table_;
};

std::set<std::string> Split(std::string_view text) {
  std::set<std::string> parts;
  while (!text.empty()) {
    const size_t bar = std::min(text.find('|'), text.size());
    parts.emplace(text.substr(0, bar));
    text.remove_prefix(std::min(bar + 1, text.size()));
  }
  return parts;
}

const rules::Rules& TheaterRules() {
  static const rules::Rules rules = [] {
    const auto pipeline = LoadNewsEvents();
    EXPECT_TRUE(pipeline.ok()) << pipeline.status();
    auto compiled = rules::Rules::Compile(StageNamed(*pipeline, "theater").prepare(), *pipeline);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    return *std::move(compiled);
  }();
  return rules;
}

// Returns the fields that the rules set for a title; absent fields are "".
std::map<std::string, std::string> Say(const std::string& title) {
  json::object item;
  item["title"] = title;
  const rules::RuleResult result = TheaterRules().Apply(std::move(item));
  EXPECT_EQ(result.state, v1::ITEM_STATE_OK) << result.message;
  std::map<std::string, std::string> said;
  for (const char* field : {"theater", "country", "subregion", "kind", "actors", "countries"}) {
    const json::value* value = result.item.if_contains(field);
    if (value != nullptr) said[field] = value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
  }
  return said;
}

std::string TheaterOf(const std::string& title) { return Say(title)["theater"]; }
std::string CountryOf(const std::string& title) { return Say(title)["country"]; }

constexpr char kFolder[] = "configs/pipelines/news-events/";

TEST(NewsEvents, EveryTheaterIsAUnionOfSubregions) {
  const NamedTable theaters(std::string(kFolder) + "theaters.csv");
  std::set<std::string> seen;
  for (size_t row = 0; row < theaters.size(); ++row) {
    for (const std::string& subregion : Split(theaters.At(row, "subregions"))) {
      EXPECT_TRUE(seen.insert(subregion).second) << subregion << " is in two theaters";
    }
  }
  EXPECT_EQ(seen.size(), 22u) << "the subregions of UN M49, with the intermediate regions of Africa and America";
}

// So Indonesia can't be in LATAM: the theater follows from the country in every row.
TEST(NewsEvents, ACountryHasOneSubregionAndASubregionOneTheater) {
  const NamedTable theaters(std::string(kFolder) + "theaters.csv");
  std::map<std::string, std::string> theater_of;
  std::set<std::string> names{""};
  for (size_t row = 0; row < theaters.size(); ++row) {
    names.insert(theaters.At(row, "theater"));
    for (const std::string& subregion : Split(theaters.At(row, "subregions"))) {
      theater_of[subregion] = theaters.At(row, "theater");
    }
  }
  std::map<std::string, std::string> subregion_of;
  for (const char* file : {"places.csv", "actors.csv"}) {
    const NamedTable table(std::string(kFolder) + file);
    for (size_t row = 0; row < table.size(); ++row) {
      const std::string country = table.At(row, "country");
      const std::string subregion = table.At(row, "subregion");
      EXPECT_TRUE(names.contains(table.At(row, "theater"))) << file << " " << row;
      if (!subregion.empty()) {
        EXPECT_EQ(table.At(row, "theater"), theater_of[subregion]) << file << " " << row;
        EXPECT_FALSE(country.empty()) << file << " " << row;
      }
      if (country.empty()) continue;
      // Companies have a home, but what they do happens anywhere: they name no theater.
      if (subregion.empty() && table.At(row, "theater").empty() && table.At(row, "kind") == "company") continue;
      const auto [known, added] = subregion_of.try_emplace(country, subregion);
      EXPECT_EQ(known->second, subregion) << country << " in " << file;
    }
  }
  EXPECT_EQ(subregion_of["IDN"], "South-eastern Asia");
}

TEST(NewsEvents, TheTheaterCountryAndSubregionOfATitleAgree) {
  const auto said = Say("Brazil, Argentina and Chile back Indonesia against Peru");
  EXPECT_EQ(said.at("theater"), "LATAM");
  EXPECT_EQ(said.at("country"), "BRA");
  EXPECT_EQ(said.at("subregion"), "South America");
}

TEST(NewsEvents, EveryCountryOfIso3166IsKnownByNameAndDemonym) {
  const NamedTable countries("tests/stages/data/countries.csv");
  ASSERT_EQ(countries.size(), 249u);
  int asked = 0;
  std::vector<std::string> wrong;
  const auto ask = [&](size_t row, const std::string& title) {
    ++asked;
    const auto said = Say(title);
    const auto at = [&](const std::string& field) { return said.contains(field) ? said.at(field) : std::string(); };
    // A country without a theater (Antarctica) has no country either, because both come from the same rows.
    const bool nowhere = countries.At(row, "theater").empty();
    if (at("theater") != countries.At(row, "theater") || (!nowhere && at("country") != countries.At(row, "code"))) {
      wrong.push_back(fmt::format("{}: {} {}", title, at("theater"), at("country")));
    }
  };
  for (size_t row = 0; row < countries.size(); ++row) {
    ask(row, fmt::format("Talks in {} end without result", countries.At(row, "name")));
    const std::string demonym = countries.At(row, "demonym");
    if (!demonym.empty()) ask(row, fmt::format("A {} painter is honoured", demonym));
  }
  const double right = 1 - static_cast<double>(wrong.size()) / asked;
  fmt::print("theater and country right for {:.1f}% of {} names and demonyms of ISO 3166\n", 100 * right, asked);
  EXPECT_GE(right, 0.99);
  for (const std::string& title : wrong) fmt::print("  wrong: {}\n", title);
}

TEST(NewsEvents, NamesInsideOfOthersAreNotMistaken) {
  EXPECT_EQ(CountryOf("Fire in New Mexico forest"), "USA");
  EXPECT_EQ(CountryOf("Mexico City mayor resigns"), "MEX");
  EXPECT_EQ(CountryOf("Nigerian army frees hostages"), "NGA");
  EXPECT_EQ(CountryOf("Nigerien army frees hostages"), "NER");
  EXPECT_EQ(CountryOf("Coup in Guinea-Bissau"), "GNB");
  EXPECT_EQ(CountryOf("Coup in Equatorial Guinea"), "GNQ");
  EXPECT_EQ(CountryOf("Coup in Guinea"), "GIN");
  EXPECT_EQ(CountryOf("Quake in Papua New Guinea"), "PNG");
  EXPECT_EQ(CountryOf("Republic of the Congo votes"), "COG");
  EXPECT_EQ(CountryOf("Democratic Republic of the Congo votes"), "COD");
  EXPECT_EQ(CountryOf("Dominica rebuilds"), "DMA");
  EXPECT_EQ(CountryOf("Dominican Republic rebuilds"), "DOM");
  EXPECT_EQ(CountryOf("North Korea fires missile"), "PRK");
  EXPECT_EQ(CountryOf("South Korean ferry sinks"), "KOR");
  EXPECT_EQ(TheaterOf("Latin American leaders meet"), "LATAM");
  EXPECT_EQ(TheaterOf("South American cup begins"), "LATAM");
  EXPECT_EQ(TheaterOf("American leaders meet"), "NORTH_AMERICA");
  EXPECT_EQ(CountryOf("American Indians protest against pipeline"), "USA");
  EXPECT_EQ(CountryOf("Indiana governor signs bill"), "USA");
  EXPECT_EQ(CountryOf("Indian farmers protest"), "IND");
  EXPECT_EQ(CountryOf("New Jersey declares emergency"), "USA");
  EXPECT_EQ(CountryOf("Jersey declares emergency"), "JEY");
  EXPECT_EQ(CountryOf("Grenada votes"), "GRD");
  EXPECT_EQ(CountryOf("Granada hosts festival"), "ESP");
  EXPECT_EQ(CountryOf("Michael Jordan opens clinic"), "");
  EXPECT_EQ(CountryOf("Jordan opens border"), "JOR");
  EXPECT_EQ(CountryOf("How to roast a turkey"), "");
  EXPECT_EQ(CountryOf("Turkey opens border"), "TUR");
  EXPECT_EQ(CountryOf("Chad opens border"), "TCD");
  EXPECT_EQ(CountryOf("Georgia opens border with Russia at Tbilisi checkpoint"), "GEO");
  EXPECT_EQ(CountryOf("Georgia recounts ballots as Atlanta waits"), "USA");
  EXPECT_EQ(CountryOf("South Sudan and its army"), "SSD");
  EXPECT_EQ(TheaterOf("Ships collide in South China Sea"), "");
}

TEST(NewsEvents, AnActorNamesTheTheaterWhereNoPlaceDoes) {
  const auto said = Say("Bolsonaro tests positive");
  EXPECT_EQ(said.at("theater"), "LATAM");
  EXPECT_EQ(said.at("country"), "BRA");
  EXPECT_EQ(said.at("actors"), R"(["Jair Bolsonaro"])");
  EXPECT_EQ(CountryOf("Putin visits Syria"), "SYR");
}

TEST(NewsEvents, ActorsHaveOneName) {
  EXPECT_EQ(Say("Biden calls UN chief Guterres")["actors"],
            Say("Joe Biden calls United Nations chief António Guterres")["actors"]);
}

TEST(NewsEvents, KindsComeFromKeywords) {
  EXPECT_EQ(Say("Strong earthquake off Chile")["kind"], "disaster");
  EXPECT_EQ(Say("Parliament votes on new cabinet")["kind"], "politics");
  EXPECT_EQ(Say("Something else entirely")["kind"], "other");
}

TEST(NewsEvents, TheatersAreRightOnRealTitles) {
  const auto pipeline = LoadNewsEvents();
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  const auto figures = MeasureTheaters(*pipeline, DataDirectory());
  if (absl::IsNotFound(figures.status())) GTEST_SKIP() << "the set news-families is absent: set MILLRACE_DATA";
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_GE(figures->right_share(), 0.95);
  EXPECT_GE(figures->named_share(), 0.75);
}

TEST(NewsEvents, TheStageKeepsWhatItDoesNotKnow) {
  const auto pipeline = LoadNewsEvents();
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  v1::Pipeline bound = *pipeline;
  struct NoFiles final : FileAccess {
    StatusOr<std::string> ForReading(std::string_view) const override { return std::string(); }
    StatusOr<std::string> ForWriting(std::string_view) const override { return std::string(); }
  } files;
  const StageKind kind = PrepareKind();
  const auto work = kind.make({bound, StageNamed(bound, "theater"), files});
  ASSERT_TRUE(work.ok()) << work.status();
  const auto item = [](int64_t ordinal, const std::string& id, const std::string& text, bool degraded) {
    return ParsedItem{{ordinal, id, std::make_shared<const std::string>(text), degraded}, *ParseJson(text)};
  };
  const auto made = WorkAs<PureStage>(*work).Compute(
      {item(0, "a", R"({"n":12345678901234567890,"title":"Rain in  Oslo"})", false),
       item(1, "b", R"({"title":" "})", false), item(2, "c", R"({"title":"Snow"})", true)});
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].state, v1::ITEM_STATE_OK);
  EXPECT_THAT(made[0].json,
              testing::StartsWith(R"({"n":12345678901234567890,"title":"Rain in Oslo","theater":"EUROPE")"));
  EXPECT_THAT(made[0].notes, Contains("places in the title: Oslo"));
  EXPECT_EQ(made[1].state, v1::ITEM_STATE_FAILED);
  EXPECT_EQ(made[1].reason, v1::ERROR_REASON_VALIDATION);
  EXPECT_EQ(made[1].message, "no title: an item needs a title");
  EXPECT_EQ(made[2].state, v1::ITEM_STATE_DEGRADED);
}

}  // namespace
}  // namespace millrace
