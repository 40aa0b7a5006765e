// Uploads: either the whole input arrives, or the command reports an error and does not close the input.
#include "client/cli/upload.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>

namespace millrace::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Refuses every unary RPC.
class RefusingClient : public client::Client {
 public:
#define MR_REFUSE(Service, Name)                                          \
  StatusOr<v1::Name##Response> Name(const v1::Name##Request&) override {  \
    return MakeError(Reason::kInternal, "the test expects no such call"); \
  }
  MR_ALL_RPCS(MR_REFUSE)
#undef MR_REFUSE
  bool AwaitConnection(Duration) override { return true; }
};

// Fake server that takes inputs. First it answers with the given errors.
class InputServer final : public RefusingClient {
 public:
  StatusOr<v1::AddItemsResponse> AddItems(const v1::AddItemsRequest& request) override {
    if (on_part) on_part();
    if (!errors.empty()) {
      const Status error = errors.front();
      errors.pop_front();
      return error;
    }
    const auto at = static_cast<size_t>(request.offset());
    const size_t kept = std::min(data.size() - at, request.data().size());
    if (data.compare(at, kept, request.data(), 0, kept) != 0) return Other();
    if (kept < request.data().size() && (closed || ended)) return NoMore();
    data += request.data().substr(kept);
    v1::AddItemsResponse response;
    response.set_next_offset(static_cast<int64_t>(data.size()));
    return response;
  }
  StatusOr<v1::CloseInputResponse> CloseInput(const v1::CloseInputRequest& request) override {
    const auto end = static_cast<size_t>(request.end_offset());
    if (data.size() > end || (closed && data.size() != end)) return Other();
    closed = closed || !ended;
    return v1::CloseInputResponse();
  }
  StatusOr<v1::CancelRunResponse> CancelRun(const v1::CancelRunRequest& request) override {
    cancelled.push_back(request.run());
    if (!cancel_error.ok()) return cancel_error;
    return v1::CancelRunResponse();
  }
  Status WatchRun(const v1::WatchRunRequest&, const std::function<bool(const v1::RunEvent&)>&) override {
    return absl::OkStatus();
  }
  Status StreamGenerate(const v1::StreamGenerateRequest&,
                        const std::function<void(const v1::StreamGenerateResponse&)>&) override {
    return absl::OkStatus();
  }
  void SetTimeout(Duration) override {}
  void Interrupt() override {}
  void Reset() override {}

  std::deque<Status> errors;
  std::function<void()> on_part;
  Status cancel_error;
  std::string data;
  bool closed = false;
  bool ended = false;  // the run has ended
  std::vector<std::string> cancelled;

 private:
  static Status Other() { return MakeError(Reason::kRequestIdReused, "another byte"); }
  static Status NoMore() { return MakeError(Reason::kWrongRunState, "no more"); }
};

Status Away() { return absl::UnavailableError("connection refused"); }

class UploadTest : public testing::Test {
 protected:
  UploadTest() : directory_(testing::TempDir() + "upload-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    options_.stopped = [this] { return interrupted_; };
    options_.say = [this](const std::string& text) { said_.push_back(text); };
    options_.sleep = [this](Duration delay) {
      slept_.push_back(std::chrono::duration_cast<milliseconds>(delay));
      return !interrupted_;
    };
  }
  ~UploadTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(std::string_view text) const {
    std::ofstream(directory_ + "/in.csv", std::ios::binary) << text;
    return directory_ + "/in.csv";
  }
  Status Send(const std::string& path) {
    StatusOr<std::unique_ptr<InputReader>> reader = InputReader::Open(path);
    if (!reader.ok()) return reader.status();
    return SendInput(server_, "r-1", "titles", **reader, options_);
  }

  std::string directory_;
  InputServer server_;
  UploadOptions options_;
  bool interrupted_ = false;
  std::vector<std::string> said_;
  std::vector<milliseconds> slept_;
};

TEST_F(UploadTest, SendsEveryByteAndClosesTheInput) {
  const std::string text(1'300'000, 'x');
  ASSERT_TRUE(Send(Write(text)).ok());
  EXPECT_EQ(server_.data, text);
  EXPECT_TRUE(server_.closed);
}

TEST_F(UploadTest, AnEmptyFileIsAnEmptyInput) {
  ASSERT_TRUE(Send(Write("")).ok());
  EXPECT_TRUE(server_.closed);
}

TEST_F(UploadTest, SkipsNothingThatTheServerHas) {
  server_.data = "id,ti";
  ASSERT_TRUE(Send(Write("id,title\na,b\n")).ok());
  EXPECT_EQ(server_.data, "id,title\na,b\n");
}

TEST_F(UploadTest, SendsTheRestOfALongInput) {
  std::string text;
  for (int i = 0; text.size() < 1'300'000; ++i) text += std::to_string(i);
  server_.data = text.substr(0, 700'001);
  ASSERT_TRUE(Send(Write(text)).ok());
  EXPECT_EQ(server_.data, text);
  EXPECT_TRUE(server_.closed);
}

TEST_F(UploadTest, ARepeatedFileMatchesAClosedInput) {
  server_.data = "id,title\na,b\n";
  server_.closed = true;
  EXPECT_TRUE(Send(Write("id,title\na,b\n")).ok());
}

TEST_F(UploadTest, AnotherFileThanBeforeIsRefused) {
  const std::string path = Write("id,title\na,b\n");
  for (const bool closed : {false, true}) {
    // Another file; a longer one; and, after the input is closed, a shorter or an empty one.
    for (const std::string kept : {"id,title\nb,b\n", "id,title\na,b\nc,d\n", "id,title\n", ""}) {
      server_.data = kept;
      server_.closed = closed;
      const bool goes_on = !closed && kept.size() < 10;
      EXPECT_EQ(ReasonOf(Send(path)), goes_on ? Reason::kNone : Reason::kRequestIdReused) << kept << closed;
      EXPECT_EQ(server_.closed, closed || goes_on);
      EXPECT_EQ(server_.data, goes_on ? "id,title\na,b\n" : kept);
    }
  }
  server_.data = "id";
  server_.closed = false;
  EXPECT_EQ(ReasonOf(Send(Write(""))), Reason::kRequestIdReused);
  EXPECT_FALSE(server_.closed);
}

TEST_F(UploadTest, ARunThatEndedBeforeItHadAllOfTheInputTakesNoMore) {
  server_.data = "id,ti";
  server_.ended = true;
  EXPECT_EQ(ReasonOf(Send(Write("id,title\na,b\n"))), Reason::kWrongRunState);
  EXPECT_EQ(ReasonOf(Send(Write("other\n"))), Reason::kRequestIdReused);
}

TEST_F(UploadTest, ADirectoryIsNotAnInput) {
  const Status status = Send(directory_);
  EXPECT_EQ(ReasonOf(status), Reason::kFileError);
  EXPECT_THAT(status.ToString(), HasSubstr(directory_.substr(directory_.rfind('/')) + ": Is a directory"));
  EXPECT_EQ(ReasonOf(Send(directory_ + "/none")), Reason::kFileError);
}

TEST_F(UploadTest, AFileThatIsCutWhileItIsSentIsNotClosed) {
  const std::string path = Write(std::string(1'300'000, 'x'));
  server_.on_part = [&] { std::filesystem::resize_file(path, 600'000); };
  const Status status = Send(path);
  EXPECT_EQ(ReasonOf(status), Reason::kFileError);
  EXPECT_THAT(status.ToString(), HasSubstr("had 1300000 bytes when it was opened, but ends after 600000"));
  EXPECT_FALSE(server_.closed);
}

TEST_F(UploadTest, AFileThatGrowsWhileItIsSentIsNotClosed) {
  const std::string path = Write("id\na\n");
  server_.on_part = [&] { std::ofstream(path, std::ios::app) << "b"; };
  EXPECT_EQ(ReasonOf(Send(path)), Reason::kFileError);
  EXPECT_FALSE(server_.closed);
}

TEST_F(UploadTest, TemporaryErrorsAreRetriedWithBackoff) {
  server_.errors = {Away(), Away(), WithRetryDelay(Away(), seconds(5)),
                    MakeError(Reason::kDiskLow, "the disk is full")};
  ASSERT_TRUE(Send(Write("id\na\n")).ok());
  EXPECT_EQ(server_.data, "id\na\n");
  EXPECT_TRUE(server_.closed);
  EXPECT_THAT(slept_, ElementsAre(milliseconds(200), milliseconds(400), seconds(5), milliseconds(1600)));
  EXPECT_THAT(said_, ElementsAre(HasSubstr("connection refused; retrying")));
}

TEST_F(UploadTest, RetriesStopWhenPatienceRunsOut) {
  server_.errors.assign(1000, Away());
  EXPECT_EQ(Send(Write("id\na\n")).code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(server_.closed);
  Duration slept(0);
  for (const milliseconds& one : slept_) slept += one;
  EXPECT_GE(slept, options_.patience);
  EXPECT_LE(slept, options_.patience + options_.backoff_max);
}

TEST_F(UploadTest, PermanentErrorsAreNotRetried) {
  server_.errors = {MakeError(Reason::kStageNotFound, "no such stage")};
  EXPECT_EQ(ReasonOf(Send(Write("id\na\n"))), Reason::kStageNotFound);
  EXPECT_THAT(slept_, IsEmpty());
  EXPECT_FALSE(server_.closed);
}

TEST_F(UploadTest, AnInterruptStopsBetweenParts) {
  server_.on_part = [this] { interrupted_ = true; };
  EXPECT_EQ(Send(Write("id\na\n")).code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(server_.closed);
}

TEST_F(UploadTest, ARunWithoutItsInputIsCancelledAndReported) {
  CancelUnsent(server_, "r-1", " --server x:1", options_);
  EXPECT_THAT(server_.cancelled, ElementsAre("r-1"));
  server_.cancel_error = Away();
  CancelUnsent(server_, "r-2", " --server x:1", options_);
  EXPECT_THAT(said_, ElementsAre("run r-1 is cancelled: not all of its input was sent",
                                 HasSubstr("it waits for input; end it with `millrace cancel r-2 --server x:1`")));
}

}  // namespace
}  // namespace millrace::cli
