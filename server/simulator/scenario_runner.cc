#include "server/simulator/scenario_runner.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "server/base/pool.h"
#include "server/engine/engine.h"
#include "server/simulator/embed_client.h"
#include "server/simulator/simulation_setup.h"
#include "server/storage/keys.h"
#include "server/storage/memory_store.h"

namespace millrace::simulator {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr char kRequestId[] = "simulated";
constexpr int64_t kPlenty = int64_t{1} << 40;
constexpr int64_t kReserve = 64 << 20;

// One incarnation of the server, from its start to its crash or the scenario's end.
class ServerIncarnation {
 public:
  ServerIncarnation(const Scenario& scenario, Mutant mutant, const SimulationSetup& setup, SimulatedClock& clock,
                    MemoryDisk& disk, ScenarioResult& result, int number)
      : scenario_(scenario),
        faults_(static_cast<size_t>(number) < scenario.incarnations.size()
                    ? scenario.incarnations[static_cast<size_t>(number)]
                    : std::vector<FaultAt>()),
        clock_(clock),
        disk_(disk),
        result_(result),
        number_(number),
        random_(scenario.seed * 1000 + static_cast<uint64_t>(number)),
        loop_(clock),
        pool_(MakeInlinePool(loop_, std::chrono::microseconds(50))),
        memory_(loop_, disk, StoreOptions(scenario, kReserve)),
        store_(WithMutant(mutant, memory_, loop_)),
        provider_(loop_, result.log, scenario.profile, random_.Fork(), number),
        http_(WithMutant(mutant, provider_)),
        calls_(MakeSimulatedCalls(loop_, *pool_, *store_, *http_, random_.Fork(), WithMutant(mutant, scenario.config))),
        handler_(WithMutant(mutant, calls_->handler())),
        stages_(setup.stages(result.sinks)),
        engine_({.loop = loop_,
                 .pool = *pool_,
                 .store = *store_,
                 .calls = *handler_,
                 .models = calls_->models(),
                 .answers = calls_->answers(),
                 .traffic = calls_->traffic(),
                 .stages = stages_,
                 .files = setup.files},
                random_.Fork(), setup.options),
        embed_client_({.loop = loop_,
                       .pool = *pool_,
                       .store = *store_,
                       .calls = *handler_,
                       .models = calls_->models(),
                       .answers = calls_->answers()},
                      scenario, result) {}

  ~ServerIncarnation() { loop_.Abandon(); }

  // Returns true if the scenario is over, false if the server crashed.
  bool Run() {
    loop_.Spawn(Start());
    for (const FaultAt& fault : faults_) loop_.Spawn(Inject(fault));
    const bool turned =
        loop_.RunUntil([this] { return over_ || crash_.has_value(); }, clock_.Now() + scenario_.time_limit);
    if (crash_) {
      result_.crashes.push_back(*crash_);
      return false;
    }
    if (!turned && result_.problem.empty()) result_.problem = fmt::format("nothing happens any more ({})", step_);
    return true;
  }

 private:
  Task<void> Start() {
    step_ = "recover";
    while (true) {
      const Status status = co_await engine_.Recover();
      if (status.ok()) break;
      if (status.code() != absl::StatusCode::kUnavailable) {
        result_.problem = status.ToString();
        over_ = true;
        co_return;
      }
      co_await loop_.Sleep(100ms);
    }
    if (number_ == 0) {
      for (int i = 1; i < scenario_.racers; ++i) loop_.Spawn(Race());
    }
    loop_.Spawn(embed_client_.Run());
    co_await Client();
    over_ = true;
  }

  v1::CreateRunRequest Request() const {
    v1::CreateRunRequest request = AnyRequest();
    request.set_request_id(kRequestId);
    if (scenario_.items_with_request) AddItems(request);
    return request;
  }

  v1::CreateRunRequest AnyRequest() const {
    v1::CreateRunRequest request = scenario_.request;
    *request.mutable_definition() = scenario_.pipeline;
    return request;
  }

  void AddItems(v1::CreateRunRequest& request) const {
    for (const v1::InputItem& item : scenario_.items) *(*request.mutable_items())["source"].add_items() = item;
  }

  Task<void> Race() {
    v1::CreateRunRequest request = Request();
    const StatusOr<v1::CreateRunResponse> response = co_await engine_.runs().CreateRun({}, std::move(request));
    if (response.ok()) result_.created.push_back(response->run().name());
  }

  // A patient client: it repeats every request until it succeeds.
  Task<void> Client() {
    step_ = "create";
    std::string run;
    while (run.empty()) {
      v1::CreateRunRequest request = Request();
      const StatusOr<v1::CreateRunResponse> response = co_await engine_.runs().CreateRun({}, std::move(request));
      if (response.ok()) {
        run = response->run().name();
        result_.created.push_back(run);
      } else if (Hopeless(response.status())) {
        result_.problem = fmt::format("CreateRun: {}", response.status().ToString());
        result_.refused = response.status();
        co_return;
      } else {
        co_await loop_.Sleep(200ms);
      }
    }
    run_ = run;
    if (!scenario_.items_with_request) co_await SendItems(run);
    if (scenario_.cancel && static_cast<size_t>(number_) + 1 >= scenario_.incarnations.size()) co_await Cancel(run);
    step_ = "wait";
    if (const bool ended = co_await WaitForEnd(run); !ended) co_return;
    if (scenario_.redrive) {
      step_ = "redrive";
      v1::RedriveRunRequest request;
      request.set_run(run);
      while (!result_.redriven) {
        const StatusOr<v1::RedriveRunResponse> response = co_await engine_.runs().RedriveRun({}, request);
        if (response.ok()) {
          result_.redriven = true;
        } else if (Hopeless(response.status())) {
          result_.problem = fmt::format("RedriveRun: {}", response.status().ToString());
          co_return;
        } else {
          co_await loop_.Sleep(200ms);
        }
      }
      if (const bool ended = co_await WaitForEnd(run); !ended) co_return;
    }
    step_ = "embed";
    co_await embed_client_.Finish();
    // The run is over. A fault from here on would disturb only the reading.
    reading_back_ = true;
    result_.done = loop_.Now();
    step_ = "read";
    if (const bool was_read = co_await ReadBack(run); !was_read) co_return;
    result_.ended = true;
    result_.end = loop_.Now();
    if (scenario_.run_again) co_await RunAgain();
  }

  static bool Hopeless(const Status& status) {
    return status.code() != absl::StatusCode::kUnavailable && status.code() != absl::StatusCode::kResourceExhausted;
  }

  Task<void> SendItems(std::string run) {
    step_ = "send items";
    const size_t part =
        (scenario_.items.size() + static_cast<size_t>(scenario_.parts) - 1) / static_cast<size_t>(scenario_.parts);
    for (size_t at = 0; at < scenario_.items.size();) {
      v1::AddItemsRequest request;
      request.set_run(run);
      request.set_offset(static_cast<int64_t>(at));
      const size_t end = std::min(at + part, scenario_.items.size());
      for (size_t i = at; i < end; ++i) *request.mutable_items()->add_items() = scenario_.items[i];
      const StatusOr<v1::AddItemsResponse> response = co_await engine_.runs().AddItems({}, std::move(request));
      if (response.ok()) {
        at = static_cast<size_t>(response->next_offset());
        co_await loop_.Sleep(300ms);
      } else if (ReasonOf(response.status()) == Reason::kWrongRunState) {
        co_return;  // closed in an earlier incarnation, or cancelled
      } else if (Hopeless(response.status())) {
        result_.problem = fmt::format("AddItems: {}", response.status().ToString());
        co_return;
      } else {
        co_await loop_.Sleep(200ms);
      }
    }
    v1::CloseInputRequest request;
    request.set_run(run);
    while (true) {
      const StatusOr<v1::CloseInputResponse> response = co_await engine_.runs().CloseInput({}, request);
      if (response.ok()) break;
      co_await loop_.Sleep(200ms);
    }
  }

  Task<void> Cancel(std::string run) {
    step_ = "cancel";
    co_await loop_.Sleep(scenario_.cancel_at);
    v1::CancelRunRequest request;
    request.set_run(run);
    while (true) {
      const StatusOr<v1::CancelRunResponse> response = co_await engine_.runs().CancelRun({}, request);
      if (response.ok()) {
        if (!result_.cancelled_at) result_.cancelled_at = loop_.Now();
        co_return;
      }
      if (Hopeless(response.status())) co_return;  // it had ended before
      co_await loop_.Sleep(50ms);
    }
  }

  Task<bool> WaitForEnd(std::string run) {
    while (true) {
      v1::WaitRunRequest request;
      request.set_run(run);
      const StatusOr<v1::WaitRunResponse> response =
          co_await engine_.runs().WaitRun(RequestContext(loop_.Now() + 1h), std::move(request));
      if (!response.ok()) {
        if (Hopeless(response.status())) {
          result_.problem = fmt::format("WaitRun: {}", response.status().ToString());
          co_return false;
        }
        co_await loop_.Sleep(200ms);
        continue;
      }
      if (response->run().state() >= v1::RUN_STATE_SUCCEEDED) co_return true;
      if (response->run().state() == v1::RUN_STATE_PAUSED && !pausing_) {
        // It was paused in an earlier incarnation, or because its target refuses all calls.
        v1::ResumeRunRequest resume;
        resume.set_run(run);
        [[maybe_unused]] const auto resumed = co_await engine_.runs().ResumeRun({}, resume);
      }
      co_await loop_.Sleep(100ms);
    }
  }

  template <typename Response>
  bool Failed(const StatusOr<Response>& response, std::string_view what) {
    if (response.ok()) return false;
    result_.problem = fmt::format("{}: {}", what, response.status().ToString());
    return true;
  }

  Task<bool> ReadItems(std::string run, std::vector<v1::Item>* items) {
    for (const v1::Stage& stage : scenario_.pipeline.stages()) {
      v1::ListItemsRequest request;
      request.set_run(run);
      request.set_stage(stage.name());
      request.set_page_size(50);
      do {
        const StatusOr<v1::ListItemsResponse> response = co_await engine_.runs().ListItems({}, request);
        if (Failed(response, "ListItems")) co_return false;
        for (const v1::Item& item : response->items()) items->push_back(item);
        request.set_page_token(response->next_page_token());
      } while (!request.page_token().empty());
    }
    co_return true;
  }

  // Reads a run, and appends its attempts unless null is given.
  Task<bool> ReadRun(std::string name, v1::Run* run, std::vector<v1::Attempt>* attempts) {
    v1::GetRunRequest get;
    get.set_run(name);
    const StatusOr<v1::GetRunResponse> response = co_await engine_.runs().GetRun({}, get);
    if (Failed(response, "GetRun")) co_return false;
    *run = response->run();
    if (attempts == nullptr) co_return true;
    v1::ListAttemptsRequest list;
    list.set_run(name);
    do {
      const StatusOr<v1::ListAttemptsResponse> page = co_await engine_.runs().ListAttempts({}, list);
      if (Failed(page, "ListAttempts")) co_return false;
      for (const v1::Attempt& attempt : page->attempts()) attempts->push_back(attempt);
      list.set_page_token(page->next_page_token());
    } while (!list.page_token().empty());
    co_return true;
  }

  Task<bool> ReadBack(std::string run) {
    disk_.faults = {};
    std::vector<v1::Attempt>* const attempts = scenario_.read_back ? &result_.attempts : nullptr;
    if (const bool was_read = co_await ReadRun(run, &result_.run, attempts); !was_read) co_return false;
    if (!scenario_.read_back) co_return true;
    if (const bool was_read = co_await ReadItems(run, &result_.items); !was_read) co_return false;
    v1::WatchRunRequest watch;
    watch.set_run(run);
    while (true) {
      const StatusOr<RunsApi::EventPage> page =
          co_await engine_.runs().NextEvents(RequestContext(loop_.Now() + 1s), watch);
      if (Failed(page, "WatchRun")) co_return false;
      for (const v1::RunEvent& event : page->events) {
        result_.events.push_back(event);
        watch.set_after(event.number());
      }
      if (page->end || page->events.empty()) break;
    }
    const std::string pending = KeyBuilder(Table::kPending);
    result_.pending = std::distance(disk_.data().lower_bound(pending), disk_.data().lower_bound(PrefixEnd(pending)));
    co_return true;
  }

  // Creates a second run over the same items.
  Task<void> RunAgain() {
    step_ = "run again";
    const size_t before = result_.log.requests.size();
    v1::CreateRunRequest request = AnyRequest();
    AddItems(request);
    const StatusOr<v1::CreateRunResponse> response = co_await engine_.runs().CreateRun({}, std::move(request));
    if (!response.ok()) co_return;
    if (const bool ended = co_await WaitForEnd(response->run().name()); !ended) co_return;
    if (const bool was_read = co_await ReadItems(response->run().name(), &result_.items_again); !was_read) co_return;
    const std::string again = response->run().name();
    std::vector<v1::Attempt>* const attempts = &result_.attempts_after;
    if (const bool was_read = co_await ReadRun(run_, &result_.run_after, attempts); !was_read) co_return;
    if (const bool was_read = co_await ReadRun(again, &result_.run_again, attempts); !was_read) co_return;
    for (size_t i = before; i < result_.log.requests.size(); ++i) {
      result_.asked_again.push_back(result_.log.requests[i].question);
    }
    result_.log.requests.resize(before);
    result_.ran_again = true;
  }

  void CrashNow(bool power_loss) {
    crash_ = Crash{.incarnation = number_, .at = loop_.Now(), .power_loss = power_loss, .disk_trouble = disk_trouble_};
  }

  Task<void> Inject(FaultAt fault) {
    co_await loop_.Sleep(fault.at);
    if (reading_back_) co_return;
    result_.injected.push_back({loop_.Now(), fault.fault});
    switch (fault.fault) {
      case Fault::kKill:
        CrashNow(false);
        break;
      case Fault::kPowerLoss:
        CrashNow(true);
        break;
      case Fault::kDiskLow:
      case Fault::kDiskFull:
        disk_trouble_ = true;
        disk_.SetRoom(fault.fault == Fault::kDiskLow ? kReserve / 2 : 0);
        co_await loop_.Sleep(fault.lasts);
        disk_.SetRoom(kPlenty);
        break;
      case Fault::kFailedSync:
        disk_trouble_ = true;
        disk_.faults.syncs = 1;
        break;
      case Fault::kReadError:
        disk_.faults.reads = 3;
        break;
      case Fault::kWallJump:
        clock_.JumpWall(random_.Chance(0.5) ? fault.lasts : -fault.lasts);
        break;
      case Fault::kPause:
        co_await PauseFor(fault.lasts);
        break;
    }
  }

  Task<void> PauseFor(Duration duration) {
    if (run_.empty()) co_return;
    pausing_ = true;
    v1::PauseRunRequest pause;
    pause.set_run(run_);
    [[maybe_unused]] const auto paused = co_await engine_.runs().PauseRun({}, pause);
    co_await loop_.Sleep(duration);
    v1::ResumeRunRequest resume;
    resume.set_run(run_);
    [[maybe_unused]] const auto resumed = co_await engine_.runs().ResumeRun({}, resume);
    pausing_ = false;
  }

  const Scenario& scenario_;
  const std::vector<FaultAt> faults_;
  SimulatedClock& clock_;
  MemoryDisk& disk_;
  ScenarioResult& result_;
  const int number_;
  Random random_;
  Loop loop_;
  std::unique_ptr<Pool> pool_;
  MemoryStore memory_;
  std::unique_ptr<Store> store_;
  SimulatedProvider provider_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<SimulatedCalls> calls_;
  std::unique_ptr<CallHandler> handler_;
  StageRegistry stages_;
  Engine engine_;
  EmbedClient embed_client_;

  std::string run_;
  std::string step_;
  bool over_ = false;
  bool pausing_ = false;
  bool reading_back_ = false;
  bool disk_trouble_ = false;
  std::optional<Crash> crash_;
};

}  // namespace

ScenarioResult RunScenario(const Scenario& scenario, Mutant mutant, const SimulationSetup& setup) {
  ScenarioResult result;
  SimulatedClock clock;
  MemoryDisk disk(scenario.seed);
  Random random(scenario.seed ^ 0x5bd1e995);
  disk.SetRoom(kPlenty);
  result.begin = clock.Now();
  for (int number = 0;; ++number) {
    bool over = false;
    {
      ServerIncarnation incarnation(scenario, mutant, setup, clock, disk, result, number);
      over = incarnation.Run();
    }
    if (over) return result;
    disk.SetRoom(kPlenty);
    disk.faults = {};
    if (result.crashes.back().power_loss) disk.LoseUnsynced(random);
    clock.Advance(std::chrono::seconds(1));
  }
}

}  // namespace millrace::simulator
