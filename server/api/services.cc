#include "server/api/services.h"

#include "millrace/v1/admin_service.grpc.pb.h"
#include "millrace/v1/completion_service.grpc.pb.h"
#include "millrace/v1/pipeline_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"
#include "server/base/duration.h"

namespace millrace::api {
namespace {

// An RPC as a coroutine: on the loop, given the request and the time by which the client wants its answer. `rpc` says
// whether the client is still there.
template <typename Request, typename Response>
using Handler = Task<StatusOr<Response>> (*)(RpcHost& host, std::shared_ptr<UnaryRpc<Response>> rpc, Request request,
                                             TimePoint deadline);

template <typename Request, typename Response>
Task<void> Handle(RpcHost& host, Handler<Request, Response> handler, std::shared_ptr<UnaryRpc<Response>> rpc,
                  Request request, TimePoint deadline) {
  StatusOr<Response> result = co_await handler(host, rpc, std::move(request), deadline);
  rpc->Answer(std::move(result));
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* Unary(RpcHost& host, grpc::CallbackServerContext* context, const Request* request,
                                Response* response, std::type_identity_t<Handler<Request, Response>> handler) {
  const std::shared_ptr<UnaryRpc<Response>> rpc = UnaryRpc<Response>::Begin(host, response);
  if (const Status admitted = host.Admit(); !admitted.ok()) {
    rpc->End(admitted);
    return rpc.get();
  }
  const TimePoint deadline = DeadlineOf(*context, host.loop().clock());
  auto begin = [&host, handler, rpc, request = *request, deadline]() mutable {
    host.loop().Spawn(Handle<Request, Response>(host, handler, std::move(rpc), std::move(request), deadline));
  };
  host.loop().Post(std::move(begin));
  return rpc.get();
}

// The handler of a method of Service that is the whole RPC.
template <auto method, typename Request, typename Response>
Task<StatusOr<Response>> Forward(RpcHost& host, std::shared_ptr<UnaryRpc<Response>>, Request request,
                                 TimePoint deadline) {
  if constexpr (std::is_invocable_v<decltype(method), Service&, Request, TimePoint>) {
    const TimePoint answer_by = deadline == kNever ? kNever : deadline - kAnswerMargin;
    return (host.service().*method)(std::move(request), answer_by);
  } else {
    return (host.service().*method)(std::move(request));
  }
}

bool IsOver(const v1::Run& run) { return run.state() != v1::RUN_STATE_QUEUED && run.state() != v1::RUN_STATE_RUNNING; }

// Waits in slices, so that a client that has left is noticed and its wait does not go on for ever.
template <typename Response>
Task<StatusOr<v1::Run>> WaitInSlices(RpcHost& host, std::shared_ptr<UnaryRpc<Response>> rpc, std::string run,
                                     TimePoint deadline) {
  const Clock& clock = host.loop().clock();
  while (true) {
    v1::WaitRunRequest request;
    request.set_run(run);
    const TimePoint until = std::min(deadline, clock.Now() + kSlice);
    StatusOr<v1::WaitRunResponse> waited = co_await host.service().WaitRun(std::move(request), until);
    if (!waited.ok()) co_return waited.status();
    if (IsOver(waited->run()) || clock.Now() >= deadline) co_return std::move(*waited->mutable_run());
    if (rpc->ended()) co_return absl::CancelledError("the client left");
  }
}

// The earlier of `wait` from now and a margin before the client's deadline.
TimePoint WaitUntil(const Clock& clock, const google::protobuf::Duration* wait, TimePoint deadline) {
  if (deadline != kNever) deadline -= kAnswerMargin;
  return wait == nullptr ? deadline : std::min(deadline, clock.Now() + ToDuration(*wait));
}

Task<StatusOr<v1::WaitRunResponse>> WaitRun(RpcHost& host, std::shared_ptr<UnaryRpc<v1::WaitRunResponse>> rpc,
                                            v1::WaitRunRequest request, TimePoint deadline) {
  const auto* timeout = request.has_timeout() ? &request.timeout() : nullptr;
  const TimePoint until = WaitUntil(host.loop().clock(), timeout, deadline);
  StatusOr<v1::Run> run = co_await WaitInSlices(host, std::move(rpc), request.run(), until);
  if (!run.ok()) co_return run.status();
  v1::WaitRunResponse response;
  *response.mutable_run() = std::move(*run);
  co_return response;
}

Task<StatusOr<v1::CreateRunResponse>> CreateRun(RpcHost& host, std::shared_ptr<UnaryRpc<v1::CreateRunResponse>> rpc,
                                                v1::CreateRunRequest request, TimePoint deadline) {
  const bool waits = request.has_wait() && !request.validate_only();
  const TimePoint until = WaitUntil(host.loop().clock(), waits ? &request.wait() : nullptr, deadline);
  request.clear_wait();
  StatusOr<v1::CreateRunResponse> created = co_await host.service().CreateRun(std::move(request), until);
  if (!created.ok() || !waits) co_return created;
  StatusOr<v1::Run> run = co_await WaitInSlices(host, std::move(rpc), created->run().name(), until);
  // The run exists whatever became of the wait.
  if (run.ok()) *created->mutable_run() = std::move(*run);
  co_return created;
}

Task<StatusOr<v1::GenerateResponse>> Generate(RpcHost& host, std::shared_ptr<UnaryRpc<v1::GenerateResponse>> rpc,
                                              v1::GenerateRequest request, TimePoint deadline) {
  const TimePoint answer_by = deadline == kNever ? kNever : deadline - kAnswerMargin;
  return host.service().Generate(std::move(request), answer_by, rpc->left());
}

// A stream as a coroutine: pages of the Service, one after the other, until its end or the client's.
template <typename Response, typename Request, typename NextPage>
Task<void> Stream(RpcHost& host, std::shared_ptr<StreamRpc<Response>> rpc, Request request, NextPage next_page) {
  while (!rpc->ended()) {
    std::vector<Response> page;
    StatusOr<bool> end = co_await next_page(host, request, page);
    if (!end.ok()) {
      rpc->End(end.status());
      co_return;
    }
    if (!page.empty()) {
      const bool written = co_await rpc->Write(std::move(page));
      if (!written) co_return;
    }
    if (*end) rpc->End(absl::OkStatus());
  }
}

template <typename Response, typename Request, typename NextPage>
grpc::ServerWriteReactor<Response>* StartStream(RpcHost& host, const Request* request, NextPage next_page) {
  const std::shared_ptr<StreamRpc<Response>> rpc = StreamRpc<Response>::Begin(host);
  const bool fits = host.BeginStream();
  const Status admitted = host.Admit();
  if (!admitted.ok() || !fits) {
    const Status too_many = MakeError(Reason::kTooMany, "this server has as many streams as it takes at once");
    rpc->End(admitted.ok() ? WithRetryDelay(too_many, std::chrono::seconds(1)) : admitted);
    return rpc.get();
  }
  auto begin = [&host, rpc, request = *request, next_page]() mutable {
    host.loop().Spawn(Stream<Response, Request, NextPage>(host, std::move(rpc), std::move(request), next_page));
  };
  host.loop().Post(std::move(begin));
  return rpc.get();
}

Task<StatusOr<bool>> NextEvents(RpcHost& host, v1::WatchRunRequest& request, std::vector<v1::WatchRunResponse>& page) {
  StatusOr<Service::EventPage> events = co_await host.service().NextEvents(request, host.loop().Now() + kSlice);
  if (!events.ok()) co_return events.status();
  for (v1::RunEvent& event : events->events) {
    request.set_after(event.number());
    *page.emplace_back().mutable_event() = std::move(event);
  }
  co_return events->end;
}

Task<StatusOr<bool>> NextItems(RpcHost& host, v1::StreamItemsRequest& request,
                               std::vector<v1::StreamItemsResponse>& page) {
  StatusOr<Service::ItemPage> items = co_await host.service().NextItems(request, host.loop().Now() + kSlice);
  if (!items.ok()) co_return items.status();
  page = std::move(items->items);
  if (!page.empty()) request.set_resume_token(page.back().resume_token());
  co_return items->end;
}

// The methods whose RPC is one method of Service.
#define MR_UNARY(Name)                                                                                   \
  grpc::ServerUnaryReactor* Name(grpc::CallbackServerContext* context, const v1::Name##Request* request, \
                                 v1::Name##Response* response) override {                                \
    return Unary(host_, context, request, response,                                                      \
                 &Forward<&::millrace::Service::Name, v1::Name##Request, v1::Name##Response>);           \
  }

class PipelineService final : public v1::PipelineService::CallbackService {
 public:
  explicit PipelineService(RpcHost& host) : host_(host) {}
  MR_UNARY(ApplyPipeline)
  MR_UNARY(GetPipeline)
  MR_UNARY(ListPipelines)
  MR_UNARY(DeletePipeline)
  MR_UNARY(PlanPipeline)

 private:
  RpcHost& host_;
};

class RunService final : public v1::RunService::CallbackService {
 public:
  explicit RunService(RpcHost& host) : host_(host) {}
  MR_UNARY(GetRun)
  MR_UNARY(ListRuns)
  MR_UNARY(PauseRun)
  MR_UNARY(ResumeRun)
  MR_UNARY(RedriveRun)
  MR_UNARY(CancelRun)
  MR_UNARY(DeleteRun)
  MR_UNARY(ListItems)
  MR_UNARY(AddItems)
  MR_UNARY(CloseInput)
  MR_UNARY(ExplainItem)
  MR_UNARY(ListAttempts)

  grpc::ServerUnaryReactor* CreateRun(grpc::CallbackServerContext* context, const v1::CreateRunRequest* request,
                                      v1::CreateRunResponse* response) override {
    return Unary(host_, context, request, response, &api::CreateRun);
  }
  grpc::ServerUnaryReactor* WaitRun(grpc::CallbackServerContext* context, const v1::WaitRunRequest* request,
                                    v1::WaitRunResponse* response) override {
    return Unary(host_, context, request, response, &api::WaitRun);
  }
  grpc::ServerWriteReactor<v1::WatchRunResponse>* WatchRun(grpc::CallbackServerContext*,
                                                           const v1::WatchRunRequest* request) override {
    return StartStream<v1::WatchRunResponse>(host_, request, &NextEvents);
  }
  grpc::ServerWriteReactor<v1::StreamItemsResponse>* StreamItems(grpc::CallbackServerContext*,
                                                                 const v1::StreamItemsRequest* request) override {
    return StartStream<v1::StreamItemsResponse>(host_, request, &NextItems);
  }

 private:
  RpcHost& host_;
};

class CompletionService final : public v1::CompletionService::CallbackService {
 public:
  explicit CompletionService(RpcHost& host) : host_(host) {}
  grpc::ServerUnaryReactor* Generate(grpc::CallbackServerContext* context, const v1::GenerateRequest* request,
                                     v1::GenerateResponse* response) override {
    return Unary(host_, context, request, response, &api::Generate);
  }

 private:
  RpcHost& host_;
};

class AdminService final : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(RpcHost& host) : host_(host) {}
  MR_UNARY(GetStatus)
  MR_UNARY(ListBackends)
  MR_UNARY(ListModels)
  MR_UNARY(GetCacheStats)
  MR_UNARY(EvictCache)

 private:
  RpcHost& host_;
};

#undef MR_UNARY

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(RpcHost& host) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<PipelineService>(host));
  services.push_back(std::make_unique<RunService>(host));
  services.push_back(std::make_unique<CompletionService>(host));
  services.push_back(std::make_unique<AdminService>(host));
  return services;
}

std::vector<std::string> ServiceNames() {
  return {v1::PipelineService::service_full_name(), v1::RunService::service_full_name(),
          v1::CompletionService::service_full_name(), v1::AdminService::service_full_name()};
}

}  // namespace millrace::api
