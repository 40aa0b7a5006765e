// A Service with answers set by a test, and a server of it whose loop runs on a thread.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/engine/service.h"
#include "server/llm/call.h"

namespace millrace {

// Loop's thread only.
class FakeService final : public Service {
 public:
  explicit FakeService(Loop& loop) : loop_(loop), changed_(loop) {}

  std::vector<std::string> calls;        // names of called methods, in order
  std::map<std::string, Status> errors;  // by name of the method
  v1::RunState run_state = v1::RUN_STATE_SUCCEEDED;
  std::vector<v1::RunEvent> events;
  bool events_end = true;
  int event_pages = 0;  // pages of events requested
  std::vector<v1::StreamItemsResponse> items;
  std::function<bool(const v1::CreateRunRequest&)> check_create;
  TimePoint last_deadline{};
  std::shared_ptr<StopSignal> last_left;  // stop signal of the last Generate
  bool holds_generate = false;            // Generate waits until its client leaves
  std::string big_json;                   // JSON of the only item of ListItems

  void Changed() { changed_.NotifyAll(); }

#define MR_FAKE(Name)                                                           \
  Task<StatusOr<v1::Name##Response>> Name(v1::Name##Request request) override { \
    return Answer<v1::Name##Response>(#Name, std::move(request));               \
  }
  MR_FAKE(ApplyPipeline)
  MR_FAKE(GetPipeline)
  MR_FAKE(ListPipelines)
  MR_FAKE(DeletePipeline)
  MR_FAKE(PlanPipeline)
  MR_FAKE(GetRun)
  MR_FAKE(ListRuns)
  MR_FAKE(PauseRun)
  MR_FAKE(ResumeRun)
  MR_FAKE(RedriveRun)
  MR_FAKE(CancelRun)
  MR_FAKE(DeleteRun)
  MR_FAKE(AddItems)
  MR_FAKE(CloseInput)
  MR_FAKE(ExplainItem)
  MR_FAKE(ListAttempts)
  MR_FAKE(GetStatus)
  MR_FAKE(ListBackends)
  MR_FAKE(ListModels)
  MR_FAKE(GetCacheStats)
  MR_FAKE(EvictCache)
#undef MR_FAKE

  Task<StatusOr<v1::ListItemsResponse>> ListItems(v1::ListItemsRequest request) override {
    StatusOr<v1::ListItemsResponse> answer = co_await Answer<v1::ListItemsResponse>("ListItems", std::move(request));
    if (answer.ok() && !big_json.empty()) answer->add_items()->set_json(big_json);
    co_return answer;
  }
  Task<StatusOr<v1::CreateRunResponse>> CreateRun(v1::CreateRunRequest request, TimePoint deadline) override {
    last_deadline = deadline;
    if (check_create && !check_create(request)) co_return absl::InternalError("the test does not want this request");
    StatusOr<v1::CreateRunResponse> answer = co_await Answer<v1::CreateRunResponse>("CreateRun", std::move(request));
    if (answer.ok()) {
      answer->mutable_run()->set_name("r-test");
      answer->mutable_run()->set_state(v1::RUN_STATE_RUNNING);
    }
    co_return answer;
  }
  Task<StatusOr<v1::WaitRunResponse>> WaitRun(v1::WaitRunRequest request, TimePoint deadline) override {
    StatusOr<v1::WaitRunResponse> answer = co_await Answer<v1::WaitRunResponse>("WaitRun", request);
    if (!answer.ok()) co_return answer;
    while (run_state == v1::RUN_STATE_RUNNING) {
      const bool changed = co_await changed_.WaitUntil(deadline);
      if (!changed) break;
    }
    answer->mutable_run()->set_name(request.run());
    answer->mutable_run()->set_state(run_state);
    co_return answer;
  }
  static Task<StatusOr<v1::GenerateResponse>> HoldGenerate(std::shared_ptr<StopSignal> left) {
    while (!left->stopped()) co_await left->event().Wait();
    co_return absl::CancelledError("the client left");
  }
  Task<StatusOr<v1::GenerateResponse>> Generate(v1::GenerateRequest request, TimePoint deadline,
                                                std::shared_ptr<StopSignal> left) override {
    last_left = std::move(left);
    last_deadline = deadline;
    if (holds_generate) return HoldGenerate(last_left);
    return Answer<v1::GenerateResponse>("Generate", std::move(request));
  }
  Task<StatusOr<EventPage>> NextEvents(v1::WatchRunRequest request, TimePoint deadline) override {
    ++event_pages;
    if (const auto error = errors.find("NextEvents"); error != errors.end()) co_return error->second;
    EventPage page;
    while (static_cast<int64_t>(events.size()) <= request.after() && !events_end) {
      const bool changed = co_await changed_.WaitUntil(deadline);
      if (!changed) co_return page;
    }
    for (size_t i = static_cast<size_t>(request.after()); i < events.size() && page.events.size() < 100; ++i) {
      page.events.push_back(events[i]);
    }
    page.end = events_end && request.after() + static_cast<int64_t>(page.events.size()) >= std::ssize(events);
    co_return page;
  }
  Task<StatusOr<ItemPage>> NextItems(v1::StreamItemsRequest request, TimePoint) override {
    ItemPage page;
    size_t next = request.resume_token().empty() ? 0 : std::stoul(request.resume_token());
    for (; next < items.size() && page.items.size() < 2; ++next) page.items.push_back(items[next]);
    page.end = next == items.size();
    co_return page;
  }
  Task<void> Drain(TimePoint) override { co_return; }

 private:
  template <typename Response, typename Request>
  Task<StatusOr<Response>> Answer(std::string name, Request) {
    calls.push_back(name);
    co_await loop_.Yield();
    if (const auto error = errors.find(name); error != errors.end()) co_return error->second;
    co_return Response();
  }

  Loop& loop_;
  Event changed_;
};

// A loop on a thread of its own, with a fake service.
class LoopThread {
 public:
  LoopThread() : loop(clock), service(loop), thread_([this] { loop.Run(); }) {}
  ~LoopThread() {
    Stop();
    loop.Abandon();
  }

  // Runs a function on the loop's thread and waits for it.
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
  FakeService service;

 private:
  std::thread thread_;
};

}  // namespace millrace
