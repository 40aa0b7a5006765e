#include "server/stages/merge/merge.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "server/base/number.h"
#include "server/stages/merge/merging.h"
#include "tests/stages/barrier.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::Stage StageOf(const std::string& text) {
  v1::Stage stage;
  stage.set_name("merged");
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, stage.mutable_merge())) << text;
  return stage;
}

const char kFields[] = R"pb(
  fields { field: "terms" weight: 2 }
  fields { field: "title" }
  candidate_similarity: 0.2
)pb";

const char kRules[] = R"pb(
  rules {
    name: "other place"
    when {
      all {
        conditions { compare { field: "left.place" exists: true } }
        conditions { compare { field: "right.place" exists: true } }
        conditions { compare { field: "shared.place" equals: "false" } }
      }
    }
  }
  rules {
    name: "close in words and time"
    when {
      all {
        conditions { compare { field: "similarity" at_least: 0.4 } }
        conditions { compare { field: "days_apart" at_most: 10 } }
      }
    }
    join: true
  }
  rules {
    name: "many shared terms"
    when { compare { field: "shared.terms" at_least: 3 } }
    join: true
  }
)pb";

json::object Family(std::string id, std::string title, std::vector<std::string> terms, std::vector<std::string> members,
                    std::string first, std::string last) {
  json::object family;
  family["id"] = std::move(id);
  family["title"] = std::move(title);
  family["size"] = members.size();
  family["members"] = json::value_from(members);
  family["terms"] = json::value_from(terms);
  if (!first.empty()) family["first_time"] = std::move(first);
  if (!last.empty()) family["last_time"] = std::move(last);
  return family;
}

std::vector<json::object> Families() {
  return {Family("f1", "Hurricane Laura hits Louisiana", {"laura", "hurricane", "louisiana"}, {"a1", "a2"},
                 "2020-08-26", "2020-08-28"),
          Family("f2", "Coup in Mali", {"mali", "coup", "keita"}, {"b1", "b2"}, "2020-08-18", "2020-08-20"),
          Family("f3", "Louisiana counts damage of Laura", {"laura", "louisiana", "damage"}, {"a3", "a4", "a5"},
                 "2020-08-30", "2020-09-01")};
}

std::vector<StageItem> Merged(const v1::Stage& stage, const std::vector<json::object>& items, size_t page = 100) {
  StatusOr<std::vector<StageItem>> results = RunBarrier(MergeKind(), stage, ItemsOf(items), page);
  EXPECT_TRUE(results.ok()) << MessageOf(results.status());
  return results.ok() ? *std::move(results) : std::vector<StageItem>();
}

std::vector<std::string> IdsOf(const std::vector<StageItem>& items) {
  std::vector<std::string> ids;
  for (const StageItem& item : items) ids.push_back(item.id);
  return ids;
}

TEST(MergeTest, JoinsWhatARuleSaysIsTheSameAndLeavesTheRestAsItIs) {
  const std::vector<StageItem> results = Merged(StageOf(std::string(kFields) + kRules), Families());
  ASSERT_THAT(IdsOf(results), ElementsAre("f1", "f2"));
  EXPECT_THAT(results[0].input_ids, ElementsAre("f1", "f3"));
  const json::value joined = json::parse(results[0].json);
  EXPECT_EQ(joined.at("id").as_string(), "f1");
  EXPECT_EQ(joined.at("members"), json::value({"a1", "a2", "a3", "a4", "a5"}));
  EXPECT_EQ(joined.at("size").as_int64(), 5);
  EXPECT_EQ(joined.at("title").as_string(), "Louisiana counts damage of Laura");  // of the largest part
  EXPECT_EQ(joined.at("first_time").as_string(), "2020-08-26");
  EXPECT_EQ(joined.at("last_time").as_string(), "2020-09-01");
  EXPECT_EQ(json::parse(results[1].json), json::value(Families()[1]));
}

TEST(MergeTest, KeepsTheRuleAndTheFiguresThatDecided) {
  const std::vector<StageItem> results = Merged(StageOf(std::string(kFields) + kRules), Families());
  const json::value joined = json::parse(results[0].json);
  ASSERT_EQ(joined.at("merged").as_array().size(), 1u);
  const json::value& entry = joined.at("merged").at(0);
  EXPECT_EQ(entry.at("id").as_string(), "f3");
  EXPECT_EQ(entry.at("rule").as_string(), "close in words and time");
  EXPECT_EQ(ToDouble(entry.at("days_apart")), 2);
  EXPECT_GT(ToDouble(entry.at("similarity")), 0.4);
  ASSERT_EQ(results[0].notes.size(), 1u);
  EXPECT_THAT(results[0].notes[0], HasSubstr("close in words and time: f1 joined with f3, similarity 0."));
}

TEST(MergeTest, TheFirstRuleThatHoldsKeepsAPairApartAndSaysSo) {
  std::vector<json::object> items = Families();
  items[0]["place"] = "US";
  items[2]["place"] = "MX";
  const std::vector<StageItem> results = Merged(StageOf(std::string(kFields) + kRules), items);
  EXPECT_THAT(IdsOf(results), ElementsAre("f1", "f2", "f3"));
  ASSERT_EQ(results[2].notes.size(), 1u);
  EXPECT_THAT(results[2].notes[0], HasSubstr("other place: f1 kept apart from f3"));
  items[2]["place"] = "US";
  EXPECT_THAT(IdsOf(Merged(StageOf(std::string(kFields) + kRules), items)), ElementsAre("f1", "f2"));
}

TEST(MergeTest, TimesThatAreNotKnownAreNeverClose) {
  std::vector<json::object> items = Families();
  items[2].erase("first_time");
  EXPECT_THAT(IdsOf(Merged(StageOf(std::string(kFields) + kRules), items)), ElementsAre("f1", "f2", "f3"));
}

TEST(MergeTest, CountsTheValuesThatListsShare) {
  std::vector<json::object> items = Families();
  items[2]["first_time"] = "2020-12-30";
  items[2]["last_time"] = "2020-12-30";
  EXPECT_THAT(IdsOf(Merged(StageOf(std::string(kFields) + kRules), items)), ElementsAre("f1", "f2", "f3"));
  items[2]["terms"] = json::value({"laura", "hurricane", "louisiana", "damage"});
  EXPECT_THAT(IdsOf(Merged(StageOf(std::string(kFields) + kRules), items)), ElementsAre("f1", "f2"));
}

TEST(MergeTest, MakesNoItemLargerThanAllowed) {
  const std::vector<StageItem> results = Merged(StageOf(std::string(kFields) + kRules + "max_members: 4"), Families());
  EXPECT_THAT(IdsOf(results), ElementsAre("f1", "f2", "f3"));
  EXPECT_THAT(results[0].notes[0], HasSubstr("together more than 4 members"));
}

TEST(MergeTest, JoinsInChainsAndListsEachIdOnce) {
  std::vector<json::object> items = Families();
  items.push_back(Family("f4", "Damage of hurricane Laura in Louisiana", {"laura", "damage", "louisiana"}, {"a6"},
                         "2020-09-03", "2020-09-03"));
  const std::vector<StageItem> results = Merged(StageOf(std::string(kFields) + kRules), items, 1);
  ASSERT_THAT(IdsOf(results), ElementsAre("f1", "f2"));
  const json::value joined = json::parse(results[0].json);
  std::vector<std::string> ids;
  for (const json::value& entry : joined.at("merged").as_array()) ids.emplace_back(entry.at("id").as_string());
  std::sort(ids.begin(), ids.end());
  EXPECT_THAT(ids, ElementsAre("f3", "f4"));
}

TEST(MergeTest, TakesFieldsFromTheParts) {
  std::vector<json::object> items = Families();
  items[0]["theaters"] = json::value({"Americas"});
  items[2]["theaters"] = json::value({"Americas", "Caribbean"});
  const std::vector<StageItem> results =
      Merged(StageOf(std::string(kFields) + kRules + "keep { field: \"theaters\" pick: PICK_EVERY }"), items);
  EXPECT_EQ(json::parse(results[0].json).at("theaters"), json::value({"Americas", "Caribbean"}));
}

TEST(MergeTest, TakesPlainItemsAsTheirOwnMembers) {
  const v1::Stage stage = StageOf(std::string(kFields) + "rules { name: \"alike\" join: true }");
  const std::vector<StageItem> results = Merged(
      stage, {json::object{{"id", "x"}, {"title", "floods in Jakarta"}},
              json::object{{"id", "y"}, {"title", "Jakarta floods"}}, json::object{{"id", "z"}, {"title", "chess"}}});
  ASSERT_THAT(IdsOf(results), ElementsAre("x", "z"));
  EXPECT_EQ(json::parse(results[0].json).at("members"), json::value({"x", "y"}));
}

TEST(MergeTest, RefusesRulesOverWhatIsNotThere) {
  const auto error = [](const std::string& text) { return RunBarrier(MergeKind(), StageOf(text), {}).status(); };
  EXPECT_EQ(ReasonOf(error(kFields)), Reason::kInvalidDefinition);
  EXPECT_EQ(ReasonOf(error("rules { name: \"x\" join: true }")), Reason::kInvalidDefinition);
  const Status wrong = error(std::string(kFields) +
                             "rules { name: \"x\" when { compare { field: \"title\" exists: true } } join: true }");
  ASSERT_EQ(ViolationsOf(wrong).size(), 1u);
  EXPECT_EQ(ViolationsOf(wrong)[0].field, "merge.rules[0].when");
}

TEST(MergeTest, FailsWhereMemoryWouldNotDo) {
  std::vector<json::object> items;
  for (int i = 0; i < 5000; ++i) {
    items.push_back({{"id", "i" + std::to_string(i)}, {"title", "title number " + std::to_string(i)}});
  }
  const v1::Stage stage = StageOf(std::string(kFields) + kRules + "max_memory: 1048576");
  EXPECT_EQ(ReasonOf(RunBarrier(MergeKind(), stage, ItemsOf(items)).status()), Reason::kMemoryLimit);
}

TEST(MergeTest, MakesNothingOfNothing) { EXPECT_THAT(Merged(StageOf(std::string(kFields) + kRules), {}), IsEmpty()); }

TEST(MergeTest, ItemsOfTwoStagesThatShareAnIdAreToldApart) {
  // As they come from two files whose rows have no ids.
  const std::vector<std::string> others = {"Gardening tips for autumn", "Quantum lecture postponed", "Chess champion"};
  std::vector<json::object> items;
  for (const json::object& family : Families()) {
    json::object other = family;
    other["title"] = others[items.size() / 2];
    other["terms"] = json::array();
    items.push_back(family);
    items.push_back(std::move(other));
  }
  const std::vector<StageItem> merged = Merged(StageOf(std::string(kFields) + kRules), items);
  // The two items about Laura are joined; each of the other four stays as it was.
  ASSERT_EQ(merged.size(), 5u);
  EXPECT_THAT(merged[0].input_ids, ElementsAre("f1", "f3"));
  for (const size_t alone : {1, 2, 3, 4}) EXPECT_THAT(merged[alone].input_ids, IsEmpty());
  EXPECT_EQ(json::parse(merged[4].json).at("title"), "Chess champion");
}

TEST(MergeTest, JoinsItemsThatAreNestedDeeply) {
  std::vector<json::object> items = Families();
  std::string deep(60, '[');
  deep += std::string(60, ']');
  for (json::object& item : items) item["tags"] = *ParseJson(deep);
  const std::vector<StageItem> merged =
      Merged(StageOf(std::string(kFields) + kRules + "keep { field: \"tags\" pick: PICK_LIST }"), items);
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_TRUE(ParseJson(merged[0].json).ok());
}

TEST(MergeTest, NotesTimesThatItCantReadIfARuleNeedsThem) {
  const v1::Stage stage = StageOf(std::string(kFields) + kRules);
  StatusOr<PairRules> rules = PairRules::Compile(stage.merge());
  ASSERT_TRUE(rules.ok());
  Merging merging(stage.merge(), *rules);
  const std::vector<InputItem> items = ItemsOf({Family("a", "Floods", {"flood"}, {"x"}, "01/03/2017", "2017-03-02"),
                                                Family("b", "Floods", {"flood"}, {"y"}, "20170301", "2017-03-02")});
  ASSERT_TRUE(merging.Add(items).ok());
  ASSERT_EQ(merging.oddities().list().size(), 1u);
  EXPECT_THAT(WarningOf("merged", merging.oddities().list()[0]),
              HasSubstr("`first_time` can't be read as a date in 1 item, for example \"01/03/2017\""));
}

}  // namespace
}  // namespace millrace
