#include "server/stages/fetch/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "millrace/v1/run_service.pb.h"
#include "server/files/file_access.h"
#include "server/stages/stage_work.h"
#include "tests/stages/fetch/feeding.h"

namespace millrace {
namespace {

using testing::HasSubstr;

class NoFiles final : public FileAccess {
 public:
  StatusOr<std::string> ForReading(std::string_view) const override {
    return MakeError(Reason::kFileNotAllowed, "no files");
  }
  StatusOr<std::string> ForWriting(std::string_view path) const override { return ForReading(path); }
};

StatusOr<StageWork> Make(const v1::Fetch& fetch) {
  v1::Pipeline pipeline;
  v1::Stage stage;
  *stage.mutable_fetch() = fetch;
  const NoFiles files;
  return FetchKind().make({.pipeline = pipeline, .stage = stage, .files = files});
}

TEST(FetchTest, TellsThePathAndMakesTheReaderOfItsSource) {
  v1::Fetch fetch;
  fetch.mutable_csv()->set_path("in.csv");
  const StatusOr<StageWork> work = Make(fetch);
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(WorkAs<FetchStage>(*work).path(), "in.csv");
  const StatusOr<RowReader::Rows> rows = WorkAs<FetchStage>(*work).MakeReader()->Feed("a\n1\n", true);
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(fetch::Shown(rows->rows.at(0)), R"(row-1 {"a":"1"})");
}

TEST(FetchTest, ChecksItemsThatAClientSends) {
  v1::Fetch fetch;
  fetch.mutable_inline_()->set_id_field("key");
  const StatusOr<StageWork> work = Make(fetch);
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(WorkAs<FetchStage>(*work).path(), "");
  EXPECT_EQ(WorkAs<FetchStage>(*work).MakeReader(), nullptr);
  const auto item = [&](std::string id, std::string json) {
    v1::InputItem input;
    input.set_id(std::move(id));
    input.set_json(std::move(json));
    return fetch::Shown(WorkAs<FetchStage>(*work).FromClient(input, 3));
  };
  EXPECT_EQ(item("", R"({"key":5})"), R"(5 {"key":5})");
  EXPECT_EQ(item("x", R"({"key":5})"), R"(x {"key":5})");
  EXPECT_THAT(item("", "{}"), HasSubstr("! BAD_ITEM_ID item 3: it has no member \"key\""));
  EXPECT_THAT(item("x\n", "{}"), HasSubstr("! BAD_ITEM_ID item 3: "));
  EXPECT_THAT(item("x", "[]"), HasSubstr("! BAD_ITEM item 3: "));
}

TEST(FetchTest, RefusesADelimiterThatCannotBeOne) {
  v1::Fetch fetch;
  fetch.mutable_csv()->set_delimiter("\"");
  EXPECT_THAT(std::string(MessageOf(Make(fetch).status())), HasSubstr("fetch.csv.delimiter"));
}

}  // namespace
}  // namespace millrace
