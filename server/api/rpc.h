// RPCs in progress, and the register of all of them. An RPC posts its request to the engine's loop, awaits an API
// there, and gives the answer to the outbox, which sends it. gRPC's own threads only translate and post, since two of
// them carry every callback of the process.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "server/api/answers.h"
#include "server/api/error_details.h"
#include "server/api/outbox.h"
#include "server/base/clock.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/engine/requests/apis.h"
#include "server/trace/tracer.h"

namespace millrace::api {

// A waiting stream checks this often whether its client is still there.
inline constexpr Duration kSlice = std::chrono::seconds(5);
// Answers leave this long before the client's deadline, so that they arrive in time.
inline constexpr Duration kAnswerMargin = std::chrono::milliseconds(50);
// Kinds of streams. Each has a limit of its own, so that clients who watch runs don't keep others from asking.
enum class StreamKind { kPages, kAnswer };
// Limits of concurrent streams, over all clients: of pages (events, items), which may have megabytes each, and of
// answers while they are made.
inline constexpr int kPageStreamsMax = 1000;
inline constexpr int kAnswerStreamsMax = 10'000;

// Fate of an RPC when the server ends. One whose work the engine finishes before that is answered; one that
// waits for a run or streams events is cut, and its client follows the run elsewhere.
enum class AtEnd { kAnswer, kCut };

// An RPC that can be ended early, from any thread.
class LiveRpc : public std::enable_shared_from_this<LiveRpc> {
 public:
  explicit LiveRpc(AtEnd at_end) : at_end_(at_end) {}
  virtual ~LiveRpc() = default;
  virtual void End(const Status& status) = 0;
  // Returns true if its answer, or a part of it, is on its way to the client.
  virtual bool is_sending() const = 0;
  AtEnd at_end() const { return at_end_; }

 private:
  const AtEnd at_end_;
};

// The state that all RPCs share. Any thread.
class RpcHost {
 public:
  RpcHost(Loop& loop, Apis apis, trace::Tracer* tracer) : loop_(loop), apis_(apis), tracer_(tracer) {}

  Loop& loop() const { return loop_; }
  const Apis& apis() const { return apis_; }
  Outbox& outbox() { return outbox_; }
  // Null: nothing is traced.
  trace::Tracer* tracer() const { return tracer_; }

  // OK if calls are taken; an error before SetReady and after EndAll.
  Status Admit() const;
  void SetReady();
  // Ends every RPC in progress with `status`, and every later one.
  void EndAll(const Status& status);
  // Refuses new RPCs with `status`. Returns when those that are to be answered have been, or after `patience`.
  void AwaitAnswers(const Status& status, Duration patience, Answers answers);

  void Add(LiveRpc& rpc);
  void Remove(LiveRpc& rpc);

  // Counts a stream; false if that exceeds the limit of its kind. EndStream must follow either way.
  bool BeginStream(StreamKind kind) {
    return kind == StreamKind::kPages ? ++page_streams_ <= kPageStreamsMax : ++answer_streams_ <= kAnswerStreamsMax;
  }
  void EndStream(StreamKind kind) { --(kind == StreamKind::kPages ? page_streams_ : answer_streams_); }

 private:
  Loop& loop_;
  const Apis apis_;
  trace::Tracer* const tracer_;
  mutable std::mutex mutex_;
  std::set<LiveRpc*> live_;  // guarded by mutex_; each is owned by its reactor
  Status admission_;         // guarded by mutex_
  std::condition_variable removed_;
  std::atomic<int> page_streams_{0};
  std::atomic<int> answer_streams_{0};
  Outbox outbox_;
};

// Returns the client's deadline on the loop's clock; kNever if it has none.
TimePoint DeadlineOf(const grpc::CallbackServerContext& context, const Clock& clock);

// A call with one answer. It owns itself (`self_`) until gRPC calls OnDone; its coroutine shares it while that runs.
template <typename Response>
class UnaryRpc final : public grpc::ServerUnaryReactor, public LiveRpc {
 public:
  static std::shared_ptr<UnaryRpc> Begin(RpcHost& host, Response* response, AtEnd at_end) {
    std::shared_ptr<UnaryRpc> rpc(new UnaryRpc(host, response, at_end));
    rpc->self_ = rpc;
    host.Add(*rpc);
    return rpc;
  }

  // True once the client has gone or the answer was given.
  bool ended() const { return ended_; }
  // Stops when the client has gone. Engine thread.
  const std::shared_ptr<StopSignal>& left() const { return left_; }

  void Answer(StatusOr<Response> result) {
    if (!result.ok()) return End(result.status());
    is_answered_ = true;
    auto send = [self = std::static_pointer_cast<UnaryRpc>(shared_from_this()), answer = std::move(*result)]() mutable {
      if (self->ended_.exchange(true)) return;
      self->response_->Swap(&answer);
      self->Finish(grpc::Status::OK);
    };
    host_.outbox().Put(std::move(send));
  }

  void End(const Status& status) override {
    if (!ended_.exchange(true)) Finish(ToGrpcStatus(status));
  }
  bool is_sending() const override { return is_answered_ || ended_; }

 private:
  UnaryRpc(RpcHost& host, Response* response, AtEnd at_end)
      : LiveRpc(at_end), host_(host), response_(response), left_(std::make_shared<StopSignal>(host.loop())) {}

  // Called when the client cancels, at its deadline, and when the connection is lost. Only the wait ends; a run that
  // the request created continues.
  void OnCancel() override {
    End(absl::CancelledError("the client left"));
    host_.loop().Post([left = left_] { left->Stop(); });
  }
  void OnDone() override {
    host_.Remove(*this);
    const std::shared_ptr<UnaryRpc> last = std::move(self_);
  }

  RpcHost& host_;
  Response* const response_;  // owned by gRPC; valid until Finish
  const std::shared_ptr<StopSignal> left_;
  std::atomic<bool> is_answered_{false};
  std::atomic<bool> ended_{false};
  std::shared_ptr<UnaryRpc> self_;
};

// A call with a stream of answers. It holds at most one page, and one write is in flight: a client that reads slowly
// pauses its own stream and nothing else.
template <typename Response>
class StreamRpc final : public grpc::ServerWriteReactor<Response>, public LiveRpc {
 public:
  static std::shared_ptr<StreamRpc> Begin(RpcHost& host, StreamKind kind) {
    std::shared_ptr<StreamRpc> rpc(new StreamRpc(host, kind));
    rpc->self_ = rpc;
    host.Add(*rpc);
    return rpc;
  }

  bool ended() const { return ended_; }
  // Stops when the client has gone. Engine thread.
  const std::shared_ptr<StopSignal>& left() const { return left_; }

  // Resumes when the page was written; false if the stream has ended instead. Engine thread.
  Task<bool> Write(std::vector<Response> page) {
    written_ = false;
    is_writing_ = true;
    auto send = [self = Self(), page = std::move(page)]() mutable {
      const std::lock_guard lock(self->mutex_);
      self->page_ = std::move(page);
      self->next_ = 0;
      self->WriteNext();
    };
    host_.outbox().Put(std::move(send));
    while (!written_) co_await progress_.Wait();
    is_writing_ = false;
    co_return !ended_;
  }

  void End(const Status& status) override {
    const std::lock_guard lock(mutex_);
    if (ended_.exchange(true)) return;
    end_ = ToGrpcStatus(status);
    if (!writing_) FinishNow();
  }
  bool is_sending() const override { return is_writing_ || ended_; }

 private:
  // An answer that the engine finishes before the server ends arrives; a stream of pages is cut.
  StreamRpc(RpcHost& host, StreamKind kind)
      : LiveRpc(kind == StreamKind::kAnswer ? AtEnd::kAnswer : AtEnd::kCut),
        host_(host),
        kind_(kind),
        left_(std::make_shared<StopSignal>(host.loop())),
        progress_(host.loop()) {}

  std::shared_ptr<StreamRpc> Self() { return std::static_pointer_cast<StreamRpc>(shared_from_this()); }

  // REQUIRES: mutex_ is held.
  void WriteNext() {
    if (!ended_ && next_ < page_.size()) {
      writing_ = true;
      // No buffer_hint: with it, gRPC 1.51 holds the first message back until something else is sent.
      this->StartWrite(&page_[next_++]);
      return;
    }
    ResumeWriter();
  }
  void ResumeWriter() {
    host_.loop().Post([self = Self()] {
      self->written_ = true;
      self->progress_.NotifyAll();
    });
  }
  // REQUIRES: mutex_ is held, and no write is in flight. Called once.
  void FinishNow() {
    ResumeWriter();
    this->Finish(end_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok && !ended_.exchange(true)) end_ = ToGrpcStatus(absl::CancelledError("the client left"));
    if (ended_) return FinishNow();
    WriteNext();
  }
  void OnCancel() override {
    End(absl::CancelledError("the client left"));
    host_.loop().Post([left = left_] { left->Stop(); });
  }
  void OnDone() override {
    host_.Remove(*this);
    host_.EndStream(kind_);
    const std::shared_ptr<StreamRpc> last = std::move(self_);
  }

  RpcHost& host_;
  const StreamKind kind_;
  const std::shared_ptr<StopSignal> left_;
  std::atomic<bool> is_writing_{false};  // a page
  std::atomic<bool> ended_{false};

  std::mutex mutex_;
  std::vector<Response> page_;  // guarded by mutex_; must live until gRPC has written it
  size_t next_ = 0;             // guarded by mutex_
  bool writing_ = false;        // guarded by mutex_
  grpc::Status end_;            // guarded by mutex_

  Event progress_;        // engine thread
  bool written_ = false;  // engine thread

  std::shared_ptr<StreamRpc> self_;
};

}  // namespace millrace::api
