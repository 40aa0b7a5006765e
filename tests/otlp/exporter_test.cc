// The exporter's rules against a scripted receiver, without a network.
#include "server/otlp/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/trace/names.h"

namespace millrace::otlp {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

constexpr int kInvalidArgument = 3;
constexpr int kResourceExhausted = 8;
constexpr int kUnavailable = 14;

std::string DetailsWithRetry(int64_t millis) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(millis * 1'000'000));
  google::rpc::Status status;
  status.add_details()->PackFrom(info);
  return status.SerializeAsString();
}

// A receiver in this process: replies as the script says, then OK.
class Receiver {
 public:
  Reply Receive(const Request& request) {
    std::unique_lock lock(mutex_);
    requests_.push_back(request);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_held_ || is_cancelled_; });
    if (is_cancelled_) return {.code = 1, .message = "cancelled"};
    if (script_.empty()) return {};
    Reply reply = script_.front();
    script_.pop_front();
    return reply;
  }
  void Script(std::deque<Reply> script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
  }
  void Hold(bool is_held) {
    const std::lock_guard lock(mutex_);
    is_held_ = is_held;
    changed_.notify_all();
  }
  void Cancel() {
    const std::lock_guard lock(mutex_);
    is_cancelled_ = true;
    changed_.notify_all();
  }
  void AwaitRequests(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, 1min, [&] { return requests_.size() >= count; }));
  }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Reply> script_;
  std::vector<Request> requests_;
  bool is_held_ = false;
  bool is_cancelled_ = false;
};

class ToReceiver final : public Transport {
 public:
  explicit ToReceiver(Receiver& receiver) : receiver_(receiver) {}
  Reply Send(const Request& request, Duration) override { return receiver_.Receive(request); }
  void Cancel() override { receiver_.Cancel(); }

 private:
  Receiver& receiver_;
};

trace::EndedSpans Spans(int count, size_t bytes = 0) {
  trace::EndedSpans spans{.trace = {1, 2}, .sampled = true};
  for (int i = 0; i < count; ++i) {
    auto& record = *spans.spans.emplace_back(std::make_unique<trace::SpanRecord>());
    record.id = static_cast<trace::SpanId>(i + 1);
    record.name = "span";
    record.attributes.emplace_back("text", std::string(bytes, 'x'));
  }
  return spans;
}

int SpansIn(const Request& request) { return request.resource_spans(0).scope_spans(0).spans_size(); }

class ExporterTest : public testing::Test {
 protected:
  ExporterTest() {
    options_.delay = 0ms;
    options_.backoff = 1ms;
  }
  Exporter& Make() {
    exporter_.emplace(clock_, Random(1), std::make_unique<ToReceiver>(receiver_), options_,
                      Pairs{{"service.name", "millrace"}}, "1.2.3");
    return *exporter_;
  }

  SystemClock clock_;
  BatchOptions options_;
  Receiver receiver_;
  std::optional<Exporter> exporter_;
};

TEST_F(ExporterTest, SpansArriveWithTheirOrigin) {
  Make().Take(Spans(3));
  exporter_->Stop(1min);
  ASSERT_EQ(receiver_.requests().size(), 1u);
  const Request request = receiver_.requests()[0];
  const auto& spans = request.resource_spans(0);
  EXPECT_EQ(spans.resource().attributes(0).key(), "service.name");
  EXPECT_EQ(spans.scope_spans(0).scope().name(), "millrace");
  EXPECT_EQ(spans.scope_spans(0).scope().version(), "1.2.3");
  EXPECT_EQ(spans.scope_spans(0).schema_url(), trace::kSchemaUrl);
  EXPECT_EQ(spans.scope_spans(0).spans_size(), 3);
  EXPECT_EQ(exporter_->figures().exported, 3);
  EXPECT_EQ(exporter_->figures().dropped, 0);
}

TEST_F(ExporterTest, SpansOfManyTracesAreSentTogetherUpToTheBatch) {
  options_.delay = 1h;
  options_.batch_spans_max = 4;
  Make();
  for (int i = 0; i < 3; ++i) exporter_->Take(Spans(2));
  receiver_.AwaitRequests(1);
  exporter_->Stop(1min);
  ASSERT_EQ(receiver_.requests().size(), 2u);
  EXPECT_EQ(SpansIn(receiver_.requests()[0]), 4);
  EXPECT_EQ(SpansIn(receiver_.requests()[1]), 2);
}

TEST_F(ExporterTest, RequestsAreSplitByTheirBytesAndASpanThatIsTooLargeIsDropped) {
  options_.request_bytes_max = 5000;
  Make().Take(Spans(4, 2000));
  exporter_->Take(Spans(1, 6000));
  exporter_->Stop(1min);
  ASSERT_EQ(receiver_.requests().size(), 2u);
  for (const Request& request : receiver_.requests()) {
    EXPECT_EQ(SpansIn(request), 2);
    EXPECT_LE(request.ByteSizeLong(), 5000u);
  }
  EXPECT_EQ(exporter_->figures().exported, 4);
  EXPECT_EQ(exporter_->figures().dropped_too_large, 1);
}

TEST_F(ExporterTest, AReceiverThatIsDownForAWhileGetsTheSpansLater) {
  receiver_.Script({{.code = kUnavailable}, {.code = kUnavailable, .details = DetailsWithRetry(2)}, {}});
  Make().Take(Spans(2));
  receiver_.AwaitRequests(3);
  exporter_->Stop(1min);
  EXPECT_EQ(receiver_.requests().size(), 3u);
  EXPECT_EQ(exporter_->figures().exported, 2);
  EXPECT_EQ(exporter_->figures().dropped, 0);
}

TEST_F(ExporterTest, AReceiverThatStaysDownCostsTheSpansAfterSixTries) {
  receiver_.Script(std::deque<Reply>(6, {.code = kUnavailable}));
  Make().Take(Spans(2));
  receiver_.AwaitRequests(6);
  exporter_->Take(Spans(1));
  receiver_.AwaitRequests(7);
  exporter_->Stop(1min);
  EXPECT_EQ(receiver_.requests().size(), 7u);
  EXPECT_EQ(exporter_->figures().dropped_failed, 2);
  EXPECT_EQ(exporter_->figures().exported, 1);
}

TEST_F(ExporterTest, AWaitBeyondTheTimeoutIsNotBegun) {
  options_.timeout = 10s;
  options_.backoff = 1h;
  receiver_.Script({{.code = kUnavailable}});
  Make().Take(Spans(2));
  receiver_.AwaitRequests(1);
  exporter_->Stop(1min);
  EXPECT_EQ(receiver_.requests().size(), 1u);
  EXPECT_EQ(exporter_->figures().dropped_failed, 2);
}

TEST_F(ExporterTest, RefusedSpansAreNotSentAgain) {
  receiver_.Script({{.code = kInvalidArgument, .message = "no"},
                    {.code = kResourceExhausted},
                    {.message = "too old", .rejected = 2},
                    {.message = "please upgrade"},
                    {.rejected = 1'000'000}});
  Make();
  for (size_t i = 1; i <= 5; ++i) {
    exporter_->Take(Spans(3));
    receiver_.AwaitRequests(i);
  }
  exporter_->Stop(1min);
  EXPECT_EQ(receiver_.requests().size(), 5u);
  const trace::Figures figures = exporter_->figures();
  EXPECT_EQ(figures.dropped_failed, 6);
  EXPECT_EQ(figures.dropped_rejected, 2 + 3);
  EXPECT_EQ(figures.exported, 1 + 3);
  EXPECT_EQ(figures.exported + figures.dropped, 15);
}

TEST_F(ExporterTest, ASlowReceiverFillsTheQueueAndThenCostsSpansOnly) {
  options_.queue_spans_max = 4;
  receiver_.Hold(true);
  Make().Take(Spans(2));
  receiver_.AwaitRequests(1);
  exporter_->Take(Spans(3));
  exporter_->Take(Spans(2));  // does not fit
  exporter_->Take(Spans(1));
  EXPECT_EQ(exporter_->figures().waiting, 4);
  EXPECT_EQ(exporter_->figures().dropped_queue_full, 2);
  receiver_.Hold(false);
  exporter_->Stop(1min);
  EXPECT_EQ(exporter_->figures().exported, 6);
}

TEST_F(ExporterTest, TheQueueIsBoundedInBytes) {
  options_.queue_bytes_max = 100'000;
  receiver_.Hold(true);
  Make().Take(Spans(1));
  receiver_.AwaitRequests(1);
  for (int i = 0; i < 20; ++i) exporter_->Take(Spans(1, 9000));
  EXPECT_EQ(exporter_->figures().waiting, 10);
  EXPECT_EQ(exporter_->figures().dropped_queue_full, 10);
  receiver_.Hold(false);
  exporter_->Stop(1min);
}

TEST_F(ExporterTest, StoppingEndsAWaitForAReceiverThatDoesNotAnswer) {
  receiver_.Hold(true);
  Make().Take(Spans(2));
  receiver_.AwaitRequests(1);
  exporter_->Take(Spans(3));
  exporter_->Stop(0ms);
  EXPECT_EQ(exporter_->figures().dropped_failed, 5);
  exporter_->Take(Spans(1));
  EXPECT_EQ(exporter_->figures().dropped_queue_full, 1);
}

TEST_F(ExporterTest, StoppingEndsABackoff) {
  options_.backoff = 5s;
  receiver_.Script({{.code = kUnavailable}, {}});
  Make().Take(Spans(2));
  receiver_.AwaitRequests(1);
  exporter_->Stop(1min);
  EXPECT_EQ(exporter_->figures().exported + exporter_->figures().dropped_failed, 2);
}

TEST(OtlpRetryTest, CodesFollowTheTableOfOtlp) {
  for (const int code : {1, 4, 10, 11, 14, 15}) EXPECT_EQ(After({.code = code}).verdict, Verdict::kRetry) << code;
  for (const int code : {2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 99}) {
    EXPECT_EQ(After({.code = code}).verdict, Verdict::kDrop) << code;
  }
  const Decision throttled = After({.code = kResourceExhausted, .details = DetailsWithRetry(500)});
  EXPECT_EQ(throttled.verdict, Verdict::kRetry);
  EXPECT_EQ(throttled.delay, 500ms);
  EXPECT_EQ(After({.code = kResourceExhausted, .details = "\xff"}).verdict, Verdict::kDrop);
  EXPECT_EQ(After({.code = 0, .rejected = 3}).verdict, Verdict::kDone);
}

TEST(OtlpRetryTest, BackoffDoublesWithAFifthOfJitter) {
  Random random(1);
  for (int tries = 1; tries <= 6; ++tries) {
    const Duration wait = BackoffAfter(tries, 1s, random);
    EXPECT_GE(wait, (1 << (tries - 1)) * 800ms);
    EXPECT_LE(wait, (1 << (tries - 1)) * 1200ms);
  }
}

}  // namespace
}  // namespace millrace::otlp
