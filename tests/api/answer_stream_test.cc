// StreamGenerate: text on its way to a client.
#include "server/api/answer_stream.h"

#include <gmock/gmock.h>

#include "tests/api/server_fixture.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

v1::GenerateResponse AnswerOf(const std::string& text) {
  v1::GenerateResponse answer;
  answer.set_text(text);
  return answer;
}

// Writes an event as text: `+text`, `<` for a restart, `=text` for the answer.
std::string Note(const v1::StreamGenerateResponse& response) {
  if (response.has_restart()) return "<";
  return response.has_answer() ? "=" + response.answer().text() : "+" + response.delta();
}

class AnswerStreamTest : public testing::Test {
 protected:
  // Returns what is there for the client now.
  std::vector<std::string> Take() {
    std::vector<std::string> notes;
    loop_.Spawn(TakeInto(notes));
    loop_.RunReady();
    return notes;
  }

  SimulatedClock clock_;
  Loop loop_{clock_};
  api::AnswerStream stream_{loop_};
  std::optional<Status> end_;

 private:
  Task<void> TakeInto(std::vector<std::string>& notes) {
    const api::AnswerStream::Page page = co_await stream_.Next();
    for (const v1::StreamGenerateResponse& response : page.messages) notes.push_back(Note(response));
    end_ = page.end;
  }
};

TEST_F(AnswerStreamTest, PartsThatComeBetweenReadsAreOneMessage) {
  stream_.Delta("one ");
  stream_.Delta("two ");
  EXPECT_THAT(Take(), ElementsAre("+one two "));
  stream_.Delta("three");
  stream_.End(AnswerOf("one two three"));
  EXPECT_THAT(Take(), ElementsAre("+three", "=one two three"));
  EXPECT_EQ(end_, absl::OkStatus());
}

TEST_F(AnswerStreamTest, ARestartIsSentOnlyIfTheClientHasText) {
  stream_.Delta("never sent");
  stream_.Restarted();
  stream_.Delta("one");
  EXPECT_THAT(Take(), ElementsAre("+one"));
  stream_.Delta(" not sent");
  stream_.Restarted();
  stream_.Delta("uno");
  EXPECT_THAT(Take(), ElementsAre("<", "+uno"));
  stream_.Restarted();
  EXPECT_THAT(Take(), ElementsAre("<"));
  stream_.Restarted();
  stream_.End(MakeError(Reason::kDeadline, "late"));
  EXPECT_THAT(Take(), IsEmpty());
  EXPECT_EQ(ReasonOf(*end_), Reason::kDeadline);
}

TEST_F(AnswerStreamTest, TextThatWaitsIsBoundedAndStaysTheBeginningOfTheAnswer) {
  const std::string full(api::AnswerStream::kWaitingMax, 'a');
  stream_.Delta(full);
  stream_.Delta("b");
  EXPECT_THAT(Take(), ElementsAre("+" + full));
  stream_.Delta("c");  // would leave a gap
  stream_.Restarted();
  stream_.Delta("d");
  EXPECT_THAT(Take(), ElementsAre("<", "+d"));
}

class StreamGenerateTest : public ServerTest {
 protected:
  using Reader = std::unique_ptr<grpc::ClientReader<v1::StreamGenerateResponse>>;

  // Begins a stream, and waits until the API has its sink.
  Reader Begin(grpc::ClientContext& context) {
    v1::StreamGenerateRequest request;
    request.mutable_generate()->set_model("m");
    Reader reader = completions_->StreamGenerate(&context, request);
    bool waits = false;
    while (!waits) on_.Do([&] { waits = on_.apis.deltas != nullptr; });
    return reader;
  }
  void Answer(StatusOr<v1::GenerateResponse> answer) {
    on_.Do([&] {
      on_.apis.answer = std::move(answer);
      on_.apis.Changed();
    });
  }
  static std::string Read(const Reader& reader) {
    v1::StreamGenerateResponse response;
    return reader->Read(&response) ? Note(response) : "end";
  }
};

TEST_F(StreamGenerateTest, TextComesWhileItIsMadeAndTheAnswerLast) {
  grpc::ClientContext context;
  const Reader reader = Begin(context);
  on_.Do([&] { EXPECT_EQ(on_.apis.asked.model(), "m"); });
  on_.Do([&] { on_.apis.deltas->Delta("one"); });
  EXPECT_EQ(Read(reader), "+one");
  on_.Do([&] { on_.apis.deltas->Restarted(); });
  EXPECT_EQ(Read(reader), "<");
  on_.Do([&] { on_.apis.deltas->Delta("uno"); });
  EXPECT_EQ(Read(reader), "+uno");
  Answer(AnswerOf("uno"));
  EXPECT_EQ(Read(reader), "=uno");
  EXPECT_EQ(Read(reader), "end");
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(StreamGenerateTest, AnErrorAfterTextHasItsReason) {
  grpc::ClientContext context;
  const Reader reader = Begin(context);
  on_.Do([&] { on_.apis.deltas->Delta("one"); });
  EXPECT_EQ(Read(reader), "+one");
  Answer(MakeError(Reason::kRefusal, "no"));
  EXPECT_EQ(Read(reader), "end");
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status)->reason(), "REFUSAL");
}

TEST_F(StreamGenerateTest, ASlowReaderGetsABoundedBeginningAndTheAnswer) {
  grpc::ClientContext context;
  const Reader reader = Begin(context);
  std::string whole;
  for (int i = 0; i < 2000; ++i) {
    // 64 MB in all: more than the transport buffers for a client that does not read.
    const std::string part(32'000, static_cast<char>('a' + i % 26));
    whole += part;
    on_.Do([&] { on_.apis.deltas->Delta(part); });
  }
  Answer(AnswerOf("short"));
  std::string got;
  std::string last;
  while (true) {
    const std::string note = Read(reader);
    if (note == "end") break;
    last = note;
    if (note[0] == '+') got += note.substr(1);
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(last, "=short");
  EXPECT_EQ(got, whole.substr(0, got.size()));
  EXPECT_GE(got.size(), 32'000u);
  EXPECT_LT(got.size(), whole.size()) << "a client that does not read makes nothing wait without bound";
}

TEST_F(StreamGenerateTest, AClientThatLeavesStopsTheCall) {
  grpc::ClientContext context;
  const Reader reader = Begin(context);
  context.TryCancel();
  EXPECT_EQ(Read(reader), "end");
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  bool stopped = false;
  while (!stopped) on_.Do([&] { stopped = on_.apis.last_context.left->stopped(); });
}

TEST_F(StreamGenerateTest, AClientsDeadlineReachesTheApi) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(95));
  const Reader reader = Begin(context);
  on_.Do([&] { EXPECT_LT(on_.apis.last_context.deadline - on_.loop.Now(), std::chrono::seconds(96)); });
  Answer(AnswerOf("in time"));
  EXPECT_EQ(Read(reader), "=in time");
}

}  // namespace
}  // namespace millrace
