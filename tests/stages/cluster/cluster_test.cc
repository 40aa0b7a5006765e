#include "server/stages/cluster/cluster.h"
#include "server/stages/cluster/clustering.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "tests/stages/barrier.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::Stage StageOf(const std::string& text) {
  v1::Stage stage;
  stage.set_name("families");
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, stage.mutable_cluster())) << text;
  return stage;
}

const char kPlain[] = R"pb(
  lexical {
    fields { field: "title" }
    max_document_share: 1
  }
  passes { threshold: 0.3 }
)pb";

json::object Item(std::string id, std::string title) { return {{"id", std::move(id)}, {"title", std::move(title)}}; }

std::vector<json::object> Storms() {
  return {Item("a1", "Hurricane Laura strikes Louisiana coast"), Item("b1", "Parliament of Mali dissolved after coup"),
          Item("a2", "Louisiana: hurricane Laura leaves coast in ruins"),
          Item("b2", "Coup in Mali: soldiers dissolve parliament"), Item("c1", "Chess champion retires")};
}

std::vector<StageItem> Clustered(const v1::Stage& stage, const std::vector<json::object>& items, size_t page = 100) {
  StatusOr<std::vector<StageItem>> results = RunBarrier(ClusterKind(), stage, ItemsOf(items), page);
  EXPECT_TRUE(results.ok()) << MessageOf(results.status());
  return results.ok() ? *std::move(results) : std::vector<StageItem>();
}

std::vector<std::vector<std::string>> MembersOf(const std::vector<StageItem>& results) {
  std::vector<std::vector<std::string>> members;
  for (const StageItem& result : results) {
    if (result.state == v1::ITEM_STATE_OK) members.push_back(result.input_ids);
  }
  return members;
}

TEST(ClusterTest, GroupsItemsThatShareTheirWordsInOrderOfTheirFirstMembers) {
  EXPECT_THAT(MembersOf(Clustered(StageOf(kPlain), Storms())),
              ElementsAre(ElementsAre("a1", "a2"), ElementsAre("b1", "b2")));
}

TEST(ClusterTest, DescribesAGroupByItsMembers) {
  const std::vector<StageItem> results = Clustered(StageOf(kPlain), Storms());
  ASSERT_EQ(results.size(), 3u);
  const json::value group = json::parse(results[0].json);
  EXPECT_EQ(group.at("id").as_string(), "f-f55ff16f66f4");
  EXPECT_EQ(results[0].id, "f-f55ff16f66f4");
  EXPECT_EQ(group.at("size").as_int64(), 2);
  EXPECT_EQ(group.at("members"), json::value({"a1", "a2"}));
  EXPECT_EQ(group.at("title").as_string(), "Hurricane Laura strikes Louisiana coast");
  EXPECT_THAT(json::serialize(group.at("terms")), HasSubstr("laura"));
  EXPECT_GT(group.at("coherence").as_double(), 0.5);
  EXPECT_FALSE(group.as_object().contains("first_time"));
}

TEST(ClusterTest, EndsItemsInNoGroupAsSkippedWithTheirOwnId) {
  const std::vector<StageItem> results = Clustered(StageOf(kPlain), Storms());
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[2].id, "c1");
  EXPECT_EQ(results[2].state, v1::ITEM_STATE_SKIPPED);
  EXPECT_EQ(results[2].reason, v1::ERROR_REASON_NO_GROUP);
}

TEST(ClusterTest, KeepsSingletonsAsGroupsOfOneWhereAsked) {
  const std::string text = std::string(kPlain) + "singletons: SINGLETONS_KEEP";
  EXPECT_THAT(MembersOf(Clustered(StageOf(text), Storms())),
              ElementsAre(ElementsAre("a1", "a2"), ElementsAre("b1", "b2"), ElementsAre("c1")));
}

TEST(ClusterTest, GivesTheSameResultsInWhateverPagesTheItemsCome) {
  const std::vector<StageItem> whole = Clustered(StageOf(kPlain), Storms());
  const std::vector<StageItem> pages = Clustered(StageOf(kPlain), Storms(), 2);
  ASSERT_EQ(whole.size(), pages.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(whole[i].id, pages[i].id);
    EXPECT_EQ(whole[i].json, pages[i].json);
  }
}

TEST(ClusterTest, KeepsTheIdOfAGroupWhoseFounderStays) {
  std::vector<json::object> more = Storms();
  more.push_back(Item("a3", "Coast of Louisiana after hurricane Laura"));
  const std::vector<StageItem> results = Clustered(StageOf(kPlain), more);
  EXPECT_THAT(MembersOf(results), ElementsAre(ElementsAre("a1", "a2", "a3"), ElementsAre("b1", "b2")));
  EXPECT_EQ(results[0].id, Clustered(StageOf(kPlain), Storms())[0].id);
}

TEST(ClusterTest, GroupsOnlyItemsWithTheSameValueOfWithin) {
  std::vector<json::object> items = Storms();
  items[0]["desk"] = "x";
  items[2]["desk"] = "y";
  const v1::Stage stage = StageOf(std::string(kPlain) + "within: \"desk\"");
  EXPECT_THAT(MembersOf(Clustered(stage, items)), ElementsAre(ElementsAre("b1", "b2")));
  items[2]["desk"] = "x";
  EXPECT_THAT(MembersOf(Clustered(stage, items)), ElementsAre(ElementsAre("a1", "a2"), ElementsAre("b1", "b2")));
}

std::vector<json::object> Dated(const std::vector<json::value>& dates) {
  std::vector<json::object> items;
  for (size_t i = 0; i < dates.size(); ++i) {
    items.push_back(Item(fmt::format("d{}", i + 1), "Floods in Jakarta displace thousands"));
    items.back()["date"] = dates[i];
  }
  items.push_back(Item("other", "Chess champion retires"));
  return items;
}

TEST(ClusterTest, LetsNoGroupSpanMoreThanTheWindow) {
  const v1::Stage stage = StageOf(std::string(kPlain) + "time_field: \"date\" time_window { seconds: 864000 }");
  EXPECT_THAT(MembersOf(Clustered(stage, Dated({"2020-04-01", "2020-04-08", "2020-04-14", "2020-04-20"}))),
              ElementsAre(ElementsAre("d1", "d2"), ElementsAre("d3", "d4")));
}

TEST(ClusterTest, TellsFirstAndLastTimeAsTheyWereWritten) {
  const v1::Stage stage = StageOf(std::string(kPlain) + "time_field: \"date\"");
  const std::vector<StageItem> results =
      Clustered(stage, Dated({"2020-04-05T00:00:00+02:00", 1585699200000, "2020-04-20", "no date"}));
  ASSERT_EQ(results[0].input_ids.size(), 4u);
  const json::value group = json::parse(results[0].json);
  EXPECT_EQ(group.at("first_time"), json::value(1585699200000));
  EXPECT_EQ(group.at("last_time").as_string(), "2020-04-20");
}

std::vector<std::string> Warnings(const v1::Stage& stage, const std::vector<json::object>& items) {
  Clustering clustering(stage.cluster());
  EXPECT_TRUE(clustering.Add(ItemsOf(items)).ok());
  std::vector<std::string> warnings;
  const Oddities oddities = clustering.oddities();
  for (const storage::v1::Oddity& oddity : oddities.list()) warnings.push_back(WarningOf("news", oddity));
  return warnings;
}

TEST(ClusterTest, TimeRulesHoldForDatesHoweverTheyAreWritten) {
  const v1::Stage stage = StageOf(std::string(kPlain) + "time_field: \"date\" time_window { seconds: 172800 }");
  for (const auto& [early, late] :
       std::vector<std::pair<json::value, json::value>>{{"2024-01-01T10:00:00", "2019-01-01T10:00:00"},
                                                        {"2024-01-01T10:00:00+0100", "2019-01-01T10:00:00+0100"},
                                                        {"2024-01-01 10:00", "2019-01-01 10:00"},
                                                        {"20240101", "20190101"},
                                                        {20240101, 20190101},
                                                        {1704103200, 1546336800},
                                                        {"1704103200", "1546336800"}}) {
    EXPECT_THAT(MembersOf(Clustered(stage, Dated({early, late}))), testing::IsEmpty()) << early;
    EXPECT_THAT(MembersOf(Clustered(stage, Dated({early, early}))), ElementsAre(ElementsAre("d1", "d2"))) << early;
    EXPECT_THAT(Warnings(stage, Dated({early, late})), testing::IsEmpty()) << early;
  }
}

TEST(ClusterTest, SaysWhichDatesItCantRead) {
  const v1::Stage stage = StageOf(std::string(kPlain) + "time_field: \"date\" time_window { seconds: 172800 }");
  EXPECT_THAT(
      Warnings(stage, Dated({"01/03/2017", "2017-03-01", "02/03/2017", nullptr, ""})),
      ElementsAre(testing::AllOf(
          testing::HasSubstr("stage `news`: `date` can't be read as a date in 2 items, for example \"01/03/2017\""),
          testing::HasSubstr("`convert: {field: date, to: date, date_format: \"%d/%m/%Y\"}`"))));
  EXPECT_THAT(
      Warnings(stage, Dated({nullptr, ""})),
      ElementsAre(testing::HasSubstr("`date` has no date in any of 3 items, so the time rules of the stage have no "
                                     "effect")));
}

TEST(ClusterTest, LetsSimilarityFadeWithTime) {
  const std::vector<json::object> items = Dated({"2020-04-01", "2020-04-03", "2020-05-01"});
  const v1::Stage stage = StageOf(std::string(kPlain) + "time_field: \"date\" half_life { seconds: 259200 }");
  EXPECT_THAT(MembersOf(Clustered(stage, items)), ElementsAre(ElementsAre("d1", "d2")));
}

TEST(ClusterTest, TakesFieldsFromTheMembers) {
  std::vector<json::object> items = Storms();
  items[0]["place"] = "US";
  items[0]["score"] = 3;
  items[0]["tags"] = json::value({"wind", "sea"});
  items[2]["place"] = "CU";
  items[2]["score"] = 2.5;
  items[2]["tags"] = json::value({"sea"});
  const v1::Stage stage = StageOf(std::string(kPlain) + R"pb(
    keep { field: "place" }
    keep { field: "place" pick: PICK_LIST as: "places" max: 1 }
    keep { field: "score" pick: PICK_MIN as: "least" }
    keep { field: "score" pick: PICK_MAX as: "most" }
    keep { field: "tags" pick: PICK_EVERY }
    keep { field: "absent" pick: PICK_FIRST }
  )pb");
  const json::value group = json::parse(Clustered(stage, items)[0].json);
  EXPECT_EQ(group.at("place").as_string(), "US");
  EXPECT_EQ(group.at("places"), json::value(json::array{"US"}));
  EXPECT_EQ(group.at("least").as_double(), 2.5);
  EXPECT_EQ(group.at("most").as_int64(), 3);
  EXPECT_EQ(group.at("tags"), json::value({"sea", "wind"}));
  EXPECT_FALSE(group.as_object().contains("absent"));
}

TEST(ClusterTest, KeepsTheCharactersOfNumbersAndOrdersThemExactly) {
  std::vector<InputItem> items = ItemsOf(Storms());
  const auto with = [](const std::string& json, const std::string& members) {
    return std::make_shared<const std::string>(json.substr(0, json.size() - 1) + "," + members + "}");
  };
  items[0].json = with(*items[0].json, R"("n":123456789012345678901234567891,"p":19.90)");
  items[2].json = with(*items[2].json, R"("n":123456789012345678901234567890,"p":19.9)");
  const v1::Stage stage = StageOf(std::string(kPlain) + R"pb(
    keep { field: "n" pick: PICK_MIN as: "least" }
    keep { field: "n" pick: PICK_MAX as: "most" }
    keep { field: "n" pick: PICK_EVERY as: "all" }
    keep { field: "p" pick: PICK_EVERY }
  )pb");
  const StatusOr<std::vector<StageItem>> results = RunBarrier(ClusterKind(), stage, items);
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(
      (*results)[0].json,
      testing::HasSubstr(R"("least":123456789012345678901234567890,"most":123456789012345678901234567891,)"
                         R"("all":[123456789012345678901234567891,123456789012345678901234567890],"p":[19.90])"));
}

TEST(ClusterTest, NotesNumbersAsTextThatItOrdersAsText) {
  std::vector<json::object> items = Storms();
  items[0]["score"] = "10";
  items[1]["score"] = "9";
  const v1::Stage stage = StageOf(std::string(kPlain) + "keep { field: \"score\" pick: PICK_MAX }");
  EXPECT_THAT(Warnings(stage, items),
              ElementsAre(testing::HasSubstr("`score` is text that looks like a number in 2 items")));
}

TEST(ClusterTest, RelaxedPassesAddToGroupsButMakeNoSmallOnes) {
  const std::vector<json::object> items = {Item("a1", "red fox jumps over fence"),
                                           Item("a2", "red fox jumps over fence"), Item("a3", "red fox sleeps deep"),
                                           Item("b1", "blue whale dives north"), Item("b2", "blue whale sings loud")};
  const std::string strict = "lexical { fields { field: \"title\" } max_document_share: 1 } passes { threshold: 0.8 }";
  EXPECT_THAT(MembersOf(Clustered(StageOf(strict), items)), ElementsAre(ElementsAre("a1", "a2")));
  const std::string relaxed = strict + " passes { threshold: 0.25 min_size: 3 }";
  EXPECT_THAT(MembersOf(Clustered(StageOf(relaxed), items)), ElementsAre(ElementsAre("a1", "a2", "a3")));
  const std::string pairs = strict + " passes { threshold: 0.25 }";
  EXPECT_THAT(MembersOf(Clustered(StageOf(pairs), items)),
              ElementsAre(ElementsAre("a1", "a2", "a3"), ElementsAre("b1", "b2")));
}

TEST(ClusterTest, LinksChainsWithSingleLinkageAndNoneWithComplete) {
  const std::vector<json::object> items = {Item("x1", "alpha beta gamma"), Item("x2", "beta gamma delta"),
                                           Item("x3", "gamma delta epsilon"), Item("x4", "delta epsilon zeta")};
  const std::string fields = "fields { field: \"title\" } max_document_share: 1 ";
  EXPECT_THAT(MembersOf(Clustered(
                  StageOf("lexical { " + fields + "linkage: LINKAGE_SINGLE } passes { threshold: 0.4 }"), items)),
              ElementsAre(ElementsAre("x1", "x2", "x3", "x4")));
  EXPECT_THAT(MembersOf(Clustered(
                  StageOf("lexical { " + fields + "linkage: LINKAGE_COMPLETE } passes { threshold: 0.4 }"), items)),
              ElementsAre(ElementsAre("x1", "x2"), ElementsAre("x3", "x4")));
}

TEST(ClusterTest, AGroupWithADegradedMemberIsDegraded) {
  std::vector<InputItem> items = ItemsOf(Storms());
  items[2].degraded = true;
  const StatusOr<std::vector<StageItem>> results = RunBarrier(ClusterKind(), StageOf(kPlain), std::move(items));
  ASSERT_TRUE(results.ok());
  EXPECT_EQ((*results)[0].state, v1::ITEM_STATE_DEGRADED);
  EXPECT_EQ((*results)[1].state, v1::ITEM_STATE_OK);
}

TEST(ClusterTest, FailsBeforeItBeginsWhereMemoryWouldNotDo) {
  std::vector<json::object> items;
  for (int i = 0; i < 5000; ++i) items.push_back(Item(fmt::format("i{}", i), fmt::format("title number {}", i)));
  const StatusOr<std::vector<StageItem>> results =
      RunBarrier(ClusterKind(), StageOf(std::string(kPlain) + "max_memory: 1048576"), ItemsOf(items));
  EXPECT_EQ(ReasonOf(results.status()), Reason::kMemoryLimit);
  EXPECT_THAT(std::string(MessageOf(results.status())), HasSubstr("max_memory is 1 MiB"));
}

TEST(ClusterTest, TakesAHundredThousandTitlesWithinItsDefaultMemory) {
  EXPECT_LT(ClusterBytes(StageOf(kPlain).cluster(), 131'000, 131'000 * 300), int64_t{1} << 30);
}

// Stops the run when all has been read, on the turn after.
class StoppedAfterReading final : public ItemReader {
 public:
  StoppedAfterReading(Loop& loop, StopSignal& signal, std::vector<InputItem> items)
      : loop_(loop), signal_(signal), items_(std::move(items)) {}

  Task<StatusOr<std::vector<InputItem>>> Next() override {
    if (items_.empty()) loop_.Post([this] { signal_.Stop(); });
    co_return std::exchange(items_, {});
  }
  void Rewind() override {}

 private:
  Loop& loop_;
  StopSignal& signal_;
  std::vector<InputItem> items_;
};

TEST(ClusterTest, GroupingEndsWhenTheRunIsStopped) {
  std::vector<json::object> copies;
  for (int i = 0; i < 5000; ++i) copies.push_back(Item(fmt::format("i{}", i), "Volcano erupts near fishing village"));
  const v1::Pipeline pipeline;
  const v1::Stage stage = StageOf(kPlain);
  const NoFiles files;
  StatusOr<StageWork> work = ClusterKind().make({pipeline, stage, files});
  ASSERT_TRUE(work.ok());
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 1);
  StageContext context = ContextOf(loop, *pool, stage);
  context.stop = std::make_shared<StopSignal>(loop);
  StoppedAfterReading reader(loop, *context.stop, ItemsOf(copies));
  KeptItems writer;
  Status status;
  const auto run = [](const BarrierStage& barrier, StageContext& context, ItemReader& reader, ItemWriter& writer,
                      Status& status) -> Task<void> {
    status = co_await barrier.Run(context, reader, writer);
    context.loop.Stop();
  };
  loop.Spawn(run(WorkAs<BarrierStage>(*work), context, reader, writer, status));
  loop.Run();
  EXPECT_EQ(ReasonOf(status), Reason::kCancelled);
  EXPECT_THAT(writer.Take(), IsEmpty());
}

TEST(ClusterTest, MakesNothingOfNothing) { EXPECT_THAT(Clustered(StageOf(kPlain), {}), IsEmpty()); }

TEST(ClusterTest, LeavesItemsWithoutWordsAlone) {
  const std::vector<json::object> items = {Item("a", ""), Item("b", ""), Item("c", "the and of"),
                                           Item("d", "\xF0\x9F\x99\x82")};
  EXPECT_THAT(MembersOf(Clustered(StageOf(kPlain), items)), IsEmpty());
}

TEST(ClusterTest, RefusesADefinitionThatCannotWork) {
  const auto reason = [](const std::string& text) {
    return ReasonNameOf(RunBarrier(ClusterKind(), StageOf(text), {}).status());
  };
  EXPECT_EQ(reason("passes { threshold: 0.5 }"), "INVALID_DEFINITION");
  EXPECT_EQ(reason("lexical { fields { field: \"title\" } }"), "INVALID_DEFINITION");
  EXPECT_EQ(reason(std::string(kPlain) + "passes { threshold: 0.4 }"), "INVALID_DEFINITION");
  EXPECT_EQ(reason(std::string(kPlain) + "half_life { seconds: 60 }"), "INVALID_DEFINITION");
}

TEST(ClusterTest, KeepsFieldsThatAreNestedDeeply) {
  std::string deep(60, '[');
  deep += std::string(60, ']');
  std::vector<json::object> items;
  for (int i = 0; i < 4; ++i) {
    items.push_back(Item(fmt::format("i{}", i), "storm over the coast"));
    items.back()["tags"] = *ParseJson(deep);
  }
  const StatusOr<std::vector<StageItem>> results = RunBarrier(
      ClusterKind(), StageOf(std::string(kPlain) + "keep { field: \"tags\" pick: PICK_LIST }"), ItemsOf(items));
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_TRUE(ParseJson((*results)[0].json).ok());
}

}  // namespace
}  // namespace millrace
