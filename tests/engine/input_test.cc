// Inputs that clients send, piece by piece.
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::SizeIs;

v1::Pipeline Linear() { return MakePipeline({"in:fetch", "told:synthesize:in", "out:store:told"}); }

v1::AddItemsRequest Adding(const std::string& run, int64_t offset, const std::vector<std::string>& items) {
  v1::AddItemsRequest request;
  request.set_run(run);
  request.set_offset(offset);
  for (const std::string& item : items) request.mutable_items()->add_items()->set_json(item);
  return request;
}

TEST(InputTest, ItemsAreWorkedOnAsTheyComeUntilTheInputIsClosed) {
  World world;
  v1::CreateRunRequest create;
  *create.mutable_definition() = Linear();
  const std::string name = world.Create(create).name();
  world.Pass(1s);
  EXPECT_EQ(world.Get(name).waiting_on().reason(), v1::WaitingOn::REASON_INPUT);
  const std::vector<std::string> items = MakeItems(9);
  auto added = world.Do(world.engine->AddItems(Adding(name, 0, {items[0], items[1], items[2]})));
  ASSERT_TRUE(added.ok()) << MessageOf(added.status());
  EXPECT_EQ(added->next_offset(), 3);
  world.Pass(1s);
  EXPECT_THAT(world.outside.starts, SizeIs(3));
  added = world.Do(world.engine->AddItems(Adding(name, 0, {items[0], items[1], items[2]})));
  EXPECT_EQ(added->next_offset(), 3);  // the same again
  EXPECT_EQ(world.Do(world.engine->AddItems(Adding(name, 5, {items[0]}))).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(world.Do(world.engine->AddItems(Adding(name, 3, {"[]"}))).status()), "BAD_ITEM");
  world.Crash();
  added = world.Do(world.engine->AddItems(Adding(name, 3, {items[3], items[4], items[5], items[6], items[7]})));
  EXPECT_EQ(added->next_offset(), 8);
  world.Pass(1s);
  EXPECT_THAT(world.outside.starts, SizeIs(8));
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  v1::CloseInputRequest close;
  close.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->CloseInput(close)).ok());
  ASSERT_TRUE(world.Do(world.engine->CloseInput(close)).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(8));
  EXPECT_EQ(ReasonOf(world.Do(world.engine->AddItems(Adding(name, 8, {items[8]}))).status()), "WRONG_RUN_STATE");
}

TEST(InputTest, AFileIsStreamedInPiecesOfAnySize) {
  World world;
  std::string file;
  for (const std::string& item : MakeItems(100)) file += item + "\n";
  v1::CreateRunRequest create;
  *create.mutable_definition() = Linear();
  StageOf(*create.mutable_definition(), "in").mutable_fetch()->mutable_jsonl()->set_path("elsewhere.jsonl");
  create.add_client_inputs("in");
  const std::string name = world.Create(create).name();
  int64_t offset = 0;
  for (size_t at = 0, piece = 1; at < file.size(); at += piece, piece = piece * 2 % 997 + 1) {
    v1::AddItemsRequest request;
    request.set_run(name);
    request.set_offset(offset);
    request.set_data(file.substr(at, piece));
    const auto added = world.Do(world.engine->AddItems(request));
    ASSERT_TRUE(added.ok()) << MessageOf(added.status());
    offset = added->next_offset();
    if (piece % 3 == 0) world.Crash();
  }
  v1::CloseInputRequest close;
  close.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->CloseInput(close)).ok());
  const v1::Run run = world.Wait(name);
  EXPECT_EQ(run.state(), v1::RUN_STATE_SUCCEEDED) << run.error().message();
  EXPECT_THAT(world.outside.sink.back(), SizeIs(100));
}

TEST(InputTest, AnInputThatIsClosedEmptyIsAnEmptyInput) {
  World world;
  v1::CreateRunRequest create;
  *create.mutable_definition() = Linear();
  const std::string name = world.Create(create).name();
  v1::CloseInputRequest close;
  close.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->CloseInput(close)).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
}

}  // namespace
}  // namespace millrace
