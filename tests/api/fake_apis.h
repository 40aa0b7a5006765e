// APIs that answer as a test wants, and a thread for the loop that they run on.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/loop.h"
#include "server/engine/requests/apis.h"

namespace millrace {

// APIs whose methods answer with an empty response, or with the error that a test set. Engine thread only.
class PlainApis : public PipelinesApi, public RunsApi, public CompletionsApi, public AdminApi {
 public:
  explicit PlainApis(Loop& loop) : loop_(loop) {}

  std::vector<std::string> calls;        // methods, in order
  std::map<std::string, Status> errors;  // by method
  RequestContext last_context;           // of the newest call

  Apis apis() { return {*this, *this, *this, *this}; }

#define MR_PLAIN(Service, Name)                                                                         \
  Task<StatusOr<v1::Name##Response>> Name(RequestContext context, v1::Name##Request request) override { \
    return Answer<v1::Name##Response>(#Name, std::move(context), std::move(request));                   \
  }
  MR_ALL_RPCS(MR_PLAIN)
#undef MR_PLAIN

 protected:
  template <typename Response, typename Request>
  Task<StatusOr<Response>> Answer(std::string name, RequestContext context, Request) {
    calls.push_back(name);
    last_context = std::move(context);
    co_await loop_.Yield();
    if (const auto error = errors.find(name); error != errors.end()) co_return error->second;
    co_return Response();
  }

  Loop& loop_;
};

// APIs that also hold requests until a test lets them go, and that stream what a test gave them. Engine thread only.
class FakeApis final : public PlainApis {
 public:
  explicit FakeApis(Loop& loop) : PlainApis(loop), changed_(loop) {}

  v1::RunState run_state = v1::RUN_STATE_SUCCEEDED;  // WaitRun waits while it is RUNNING
  std::vector<v1::RunEvent> events;
  bool events_end = true;
  int event_pages = 0;  // requested so far
  std::vector<v1::StreamItemsResponse> items;
  bool holds_generate = false;                           // Generate waits until its client leaves
  int held = 0;                                          // such calls so far
  std::shared_ptr<DeltaSink> deltas;                     // of the newest StreamGenerate
  v1::GenerateRequest asked;                             // by it
  std::vector<std::string> parts;                        // that it gives at once; `<` restarts
  std::optional<StatusOr<v1::GenerateResponse>> answer;  // of StreamGenerate; call Changed
  int draining_watches = 0;                              // NextEvents that fail before it answers
  bool holds_changes = false;                            // ResumeRun and RedriveRun wait; call Changed
  std::string big_json;                                  // JSON of the only item of ListItems; empty: no item

  void Changed() { changed_.NotifyAll(); }

  std::vector<v1::Run> runs;  // of ListRuns

  Task<StatusOr<v1::ListRunsResponse>> ListRuns(RequestContext context, v1::ListRunsRequest request) override {
    MR_CO_ASSIGN_OR_RETURN(v1::ListRunsResponse answer,
                           co_await PlainApis::ListRuns(std::move(context), std::move(request)));
    answer.mutable_runs()->Add(runs.begin(), runs.end());
    co_return answer;
  }
  Task<StatusOr<v1::ListItemsResponse>> ListItems(RequestContext context, v1::ListItemsRequest request) override {
    MR_CO_ASSIGN_OR_RETURN(v1::ListItemsResponse answer,
                           co_await PlainApis::ListItems(std::move(context), std::move(request)));
    if (!big_json.empty()) answer.add_items()->set_json(big_json);
    co_return answer;
  }
  Task<StatusOr<v1::WaitRunResponse>> WaitRun(RequestContext context, v1::WaitRunRequest request) override {
    const TimePoint deadline = context.deadline;
    MR_CO_ASSIGN_OR_RETURN(v1::WaitRunResponse answer, co_await PlainApis::WaitRun(std::move(context), request));
    while (run_state == v1::RUN_STATE_RUNNING) {
      const bool changed = co_await changed_.WaitUntil(deadline);
      if (!changed) break;
    }
    answer.mutable_run()->set_name(request.run());
    answer.mutable_run()->set_state(run_state);
    co_return answer;
  }
  Task<StatusOr<v1::ResumeRunResponse>> ResumeRun(RequestContext context, v1::ResumeRunRequest request) override {
    auto answer = co_await PlainApis::ResumeRun(std::move(context), std::move(request));
    while (holds_changes) co_await changed_.Wait();
    co_return answer;
  }
  Task<StatusOr<v1::RedriveRunResponse>> RedriveRun(RequestContext context, v1::RedriveRunRequest request) override {
    auto answer = co_await PlainApis::RedriveRun(std::move(context), std::move(request));
    while (holds_changes) co_await changed_.Wait();
    co_return answer;
  }
  Task<StatusOr<v1::GenerateResponse>> Generate(RequestContext context, v1::GenerateRequest request) override {
    if (!holds_generate) return PlainApis::Generate(std::move(context), std::move(request));
    last_context = context;
    ++held;
    return HoldUntilLeft(std::move(context));
  }
  // Gives its parts, and waits until the test has set the answer or the client has left.
  Task<StatusOr<v1::GenerateResponse>> StreamGenerate(RequestContext context, v1::StreamGenerateRequest request,
                                                      std::shared_ptr<DeltaSink> sink) override {
    last_context = context;
    asked = request.generate();
    deltas = std::move(sink);
    for (const std::string& part : parts) {
      part == "<" ? deltas->Restarted() : deltas->Delta(part);
      co_await loop_.Yield();
    }
    const StopSignal::Watch watch(*context.left, [this] { changed_.NotifyAll(); });
    while (!answer && !context.left->stopped()) co_await changed_.Wait();
    if (answer) co_return *answer;
    co_return absl::CancelledError("the client left");
  }
  Task<StatusOr<EventPage>> NextEvents(RequestContext context, v1::WatchRunRequest request) override {
    ++event_pages;
    if (draining_watches > 0) {
      --draining_watches;
      co_return MakeError(Reason::kDraining, "the server is shutting down");
    }
    if (const auto error = errors.find("NextEvents"); error != errors.end()) co_return error->second;
    EventPage page;
    while (static_cast<int64_t>(events.size()) <= request.after() && !events_end) {
      const bool changed = co_await changed_.WaitUntil(context.deadline);
      if (!changed) co_return page;
    }
    for (size_t i = static_cast<size_t>(request.after()); i < events.size() && page.events.size() < 100; ++i) {
      page.events.push_back(events[i]);
    }
    page.end = events_end && request.after() + static_cast<int64_t>(page.events.size()) >= std::ssize(events);
    co_return page;
  }
  Task<StatusOr<ItemPage>> NextItems(RequestContext, v1::StreamItemsRequest request) override {
    ItemPage page;
    size_t next = request.resume_token().empty() ? 0 : std::stoul(request.resume_token());
    for (; next < items.size() && page.items.size() < 2; ++next) page.items.push_back(items[next]);
    page.end = next == items.size();
    co_return page;
  }

 private:
  static Task<StatusOr<v1::GenerateResponse>> HoldUntilLeft(RequestContext context) {
    while (!context.left->stopped()) co_await context.left->event().Wait();
    co_return absl::CancelledError("the client left");
  }

  Event changed_;
};

// A loop that a thread runs, with fake APIs on it.
class LoopThread {
 public:
  LoopThread() : loop(clock), apis(loop), thread_([this] { loop.Run(); }) {}
  ~LoopThread() {
    Stop();
    loop.Abandon();
  }

  // Runs a function on the loop, and waits for it.
  void Do(std::function<void()> function) {
    std::promise<void> done;
    loop.Post([&] {
      function();
      done.set_value();
    });
    done.get_future().wait();
  }
  void Stop() {
    if (!thread_.joinable()) return;
    loop.Stop();
    thread_.join();
  }

  SystemClock clock;
  Loop loop;
  FakeApis apis;

 private:
  std::thread thread_;
};

}  // namespace millrace
