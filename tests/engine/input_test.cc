// Inputs that clients send piece by piece.
#include "server/storage/records.h"
#include "server/storage/runs.h"
#include "tests/engine/world.h"

namespace millrace {
namespace {

using testing::SizeIs;

v1::AddItemsRequest Adding(const std::string& run, int64_t offset, const std::vector<std::string>& items) {
  v1::AddItemsRequest request;
  request.set_run(run);
  request.set_offset(offset);
  for (const std::string& item : items) request.mutable_items()->add_items()->set_json(item);
  return request;
}

TEST(InputTest, ItemsAreProcessedAsTheyComeUntilTheInputIsClosed) {
  World world;
  v1::CreateRunRequest create;
  *create.mutable_definition() = Linear();
  const std::string name = world.Create(create).name();
  world.Pass(1s);
  EXPECT_EQ(world.Get(name).waiting_on().reason(), v1::WaitingOn::REASON_INPUT);
  const std::vector<std::string> items = MakeItems(9);
  auto added = world.Do(world.engine->runs().AddItems({}, Adding(name, 0, {items[0], items[1], items[2]})));
  ASSERT_TRUE(added.ok()) << MessageOf(added.status());
  EXPECT_EQ(added->next_offset(), 3);
  world.Pass(1s);
  EXPECT_THAT(world.outside.starts, SizeIs(3));
  added = world.Do(world.engine->runs().AddItems({}, Adding(name, 0, {items[0], items[1], items[2]})));
  EXPECT_EQ(added->next_offset(), 3);  // the same again
  EXPECT_EQ(world.Do(world.engine->runs().AddItems({}, Adding(name, 5, {items[0]}))).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().AddItems({}, Adding(name, 3, {"[]"}))).status()), Reason::kBadItem);
  world.Crash();
  added =
      world.Do(world.engine->runs().AddItems({}, Adding(name, 3, {items[3], items[4], items[5], items[6], items[7]})));
  EXPECT_EQ(added->next_offset(), 8);
  world.Pass(1s);
  EXPECT_THAT(world.outside.starts, SizeIs(8));
  EXPECT_EQ(world.Get(name).state(), v1::RUN_STATE_RUNNING);
  v1::CloseInputRequest close;
  close.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->runs().CloseInput({}, close)).ok());
  ASSERT_TRUE(world.Do(world.engine->runs().CloseInput({}, close)).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(8));
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().AddItems({}, Adding(name, 8, {items[8]}))).status()),
            Reason::kWrongRunState);
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
    const auto added = world.Do(world.engine->runs().AddItems({}, request));
    ASSERT_TRUE(added.ok()) << MessageOf(added.status());
    offset = added->next_offset();
    if (piece % 3 == 0) world.Crash();
  }
  v1::CloseInputRequest close;
  close.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->runs().CloseInput({}, close)).ok());
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
  ASSERT_TRUE(world.Do(world.engine->runs().CloseInput({}, close)).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
}

TEST(InputTest, ItemsSentAgainAreComparedWithTheStoredOnes) {
  World world;
  v1::CreateRunRequest create;
  *create.mutable_definition() = Linear();
  const std::string name = world.Create(create).name();
  const std::vector<std::string> items = MakeItems(9);
  const auto add = [&](int64_t offset, const std::vector<std::string>& content) {
    return world.Do(world.engine->runs().AddItems({}, Adding(name, offset, content)));
  };
  ASSERT_TRUE(add(0, {items[0], items[1], items[2]}).ok());
  ASSERT_TRUE(add(3, {items[3], items[4]}).ok());
  EXPECT_EQ(add(1, {items[1], items[2], items[3]})->next_offset(), 5);  // cut otherwise
  auto other = add(1, {items[1], items[2], items[5]});
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(other.status()), Reason::kRequestIdReused);
  EXPECT_EQ(MessageOf(other.status()), "offset 3: another item was sent before");
  v1::AddItemsRequest named = Adding(name, 0, {items[0]});
  named.mutable_items()->mutable_items(0)->set_id("x");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().AddItems({}, named)).status()), Reason::kRequestIdReused);
  // Of items beyond the end, all are taken or none.
  EXPECT_EQ(ReasonOf(add(4, {items[5], items[6]}).status()), Reason::kRequestIdReused);
  EXPECT_EQ(MessageOf(add(4, {items[4], "[]"}).status()).substr(0, 9), "items[1]:");
  EXPECT_EQ(add(5, {})->next_offset(), 5);
  EXPECT_EQ(add(2, {items[2], items[3], items[4], items[5]})->next_offset(), 6);
  EXPECT_EQ(add(0, {items.begin(), items.begin() + 6})->next_offset(), 6);
  v1::AddItemsRequest bytes;
  bytes.set_run(name);
  bytes.set_data("x");
  EXPECT_EQ(ReasonOf(world.Do(world.engine->runs().AddItems({}, bytes)).status()), Reason::kInvalidField);
  v1::CloseInputRequest close;
  close.set_run(name);
  ASSERT_TRUE(world.Do(world.engine->runs().CloseInput({}, close)).ok());
  EXPECT_EQ(world.Wait(name).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world.outside.sink.back(), SizeIs(6));
}

// An input of bytes, sent as `millrace` sends a file.
class ByteInputTest : public testing::Test {
 protected:
  ByteInputTest() {
    v1::CreateRunRequest create;
    *create.mutable_definition() = Linear();
    StageOf(*create.mutable_definition(), "in").mutable_fetch()->mutable_jsonl()->set_path("elsewhere.jsonl");
    create.add_client_inputs("in");
    run_ = world_.Create(create).name();
    for (const std::string& item : MakeItems(20)) file_ += item + "\n";
  }

  StatusOr<int64_t> Add(int64_t offset, const std::string& data) {
    v1::AddItemsRequest request;
    request.set_run(run_);
    request.set_offset(offset);
    request.set_data(data);
    const auto added = world_.Do(world_.engine->runs().AddItems({}, request));
    if (!added.ok()) return added.status();
    return added->next_offset();
  }
  // Sends all of `data` in pieces.
  Status AddAll(const std::string& data, size_t piece) {
    for (size_t at = 0; at < data.size(); at += piece) {
      const Status status = Add(static_cast<int64_t>(at), data.substr(at, piece)).status();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  Status Close(size_t end) {
    v1::CloseInputRequest close;
    close.set_run(run_);
    close.set_end_offset(static_cast<int64_t>(end));
    return world_.Do(world_.engine->runs().CloseInput({}, close)).status();
  }
  std::string WithOtherByte(size_t at) const {
    std::string other = file_;
    other[at] = other[at] == 'x' ? 'y' : 'x';
    return other;
  }
  // Checks an input that has all of the file and takes no more.
  void ExpectOnlyTheSame() {
    for (const size_t piece : {1, 7, 64, 100'000}) EXPECT_TRUE(AddAll(file_, piece).ok()) << piece;
    EXPECT_TRUE(Close(file_.size()).ok());
    for (const size_t at : {size_t{0}, size_t{30}, file_.size() - 1}) {
      const Status other = AddAll(WithOtherByte(at), 50);
      EXPECT_EQ(ReasonOf(other), Reason::kRequestIdReused);
      EXPECT_EQ(MessageOf(other), "offset " + std::to_string(at) + ": another byte was sent before");
    }
    EXPECT_EQ(ReasonOf(AddAll(file_ + "more", 50)), Reason::kWrongRunState);
    EXPECT_EQ(ReasonOf(Add(static_cast<int64_t>(file_.size()), "more").status()), Reason::kWrongRunState);
    EXPECT_EQ(ReasonOf(Close(file_.size() + 4)), Reason::kRequestIdReused);
    EXPECT_EQ(ReasonOf(Close(file_.size() - 4)), Reason::kRequestIdReused);
  }

  World world_;
  std::string run_;
  std::string file_;
};

TEST_F(ByteInputTest, ALargePartIsCommittedInPieces) {
  world_.options.read_bytes = 100;
  world_.Crash();
  ASSERT_EQ(Add(0, file_).value(), static_cast<int64_t>(file_.size()));
  ASSERT_TRUE(Close(file_.size()).ok());
  EXPECT_EQ(world_.Stage(world_.Wait(run_), "in").ok(), 20);
  const std::string key = StageKey(run_, "in");
  const auto value = world_.Do(world_.store->Get(key));
  ASSERT_TRUE(value.ok() && *value);
  storage::v1::StageRecord record;
  ASSERT_TRUE(DecodeValue(key, **value, record).ok());
  EXPECT_GE(record.commits(), static_cast<int64_t>(file_.size()) / 200);
}

TEST_F(ByteInputTest, TheSameBytesAreTakenInPiecesOfAnySize) {
  ASSERT_TRUE(AddAll(file_.substr(0, 200), 30).ok());
  EXPECT_EQ(Add(0, file_.substr(0, 10)).value(), 200);
  EXPECT_EQ(Add(15, file_.substr(15, 100)).value(), 200);
  EXPECT_EQ(ReasonOf(Close(199)), Reason::kRequestIdReused);  // more came than that
  EXPECT_EQ(Close(201).code(), absl::StatusCode::kOutOfRange);
  world_.Crash();
  EXPECT_EQ(Add(0, "").value(), 200);
  EXPECT_EQ(Add(190, file_.substr(190, 20)).value(), 210);  // a part of it is new
  ASSERT_TRUE(AddAll(file_, 77).ok());
  ASSERT_TRUE(Close(file_.size()).ok());
  ExpectOnlyTheSame();
  world_.Crash();
  ExpectOnlyTheSame();
  EXPECT_EQ(world_.Wait(run_).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world_.outside.sink.back(), SizeIs(20));
  ExpectOnlyTheSame();
  world_.Crash();
  ExpectOnlyTheSame();
}

TEST_F(ByteInputTest, OtherBytesAreRefusedAndChangeNothing) {
  ASSERT_TRUE(AddAll(file_.substr(0, 200), 200).ok());
  for (const size_t at : {0, 100, 199}) {
    EXPECT_EQ(ReasonOf(AddAll(WithOtherByte(at), 64)), Reason::kRequestIdReused) << at;
    EXPECT_EQ(ReasonOf(AddAll(WithOtherByte(at), 1'000'000)), Reason::kRequestIdReused) << at;
  }
  EXPECT_EQ(Add(0, "").value(), 200);
  EXPECT_EQ(world_.Get(run_).state(), v1::RUN_STATE_RUNNING);
  ASSERT_TRUE(AddAll(file_, 1'000'000).ok());
  ASSERT_TRUE(Close(file_.size()).ok());
  EXPECT_EQ(world_.Wait(run_).state(), v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(world_.outside.sink.back(), SizeIs(20));
}

TEST_F(ByteInputTest, AnInputSentAgainToACancelledRunIsComparedWithTheStoredPart) {
  ASSERT_TRUE(AddAll(file_.substr(0, 200), 64).ok());
  v1::CancelRunRequest cancel;
  cancel.set_run(run_);
  ASSERT_TRUE(world_.Do(world_.engine->runs().CancelRun({}, cancel)).ok());
  world_.Wait(run_);
  EXPECT_EQ(Add(20, file_.substr(20, 100)).value(), 200);
  EXPECT_EQ(ReasonOf(AddAll(file_, 64)), Reason::kWrongRunState);
  EXPECT_EQ(ReasonOf(Add(300, "x").status()), Reason::kWrongRunState);
  EXPECT_EQ(ReasonOf(AddAll(WithOtherByte(150), 64)), Reason::kRequestIdReused);
  EXPECT_TRUE(Close(file_.size()).ok());  // not another one: it did not come to its end
  EXPECT_EQ(ReasonOf(Close(100)), Reason::kRequestIdReused);
}

}  // namespace
}  // namespace millrace
