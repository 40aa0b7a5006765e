#include "server/api/services.h"

#include <type_traits>
#include <utility>

#include "millrace/v1/admin_service.grpc.pb.h"
#include "millrace/v1/completion_service.grpc.pb.h"
#include "millrace/v1/pipeline_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"
#include "server/api/answer_stream.h"
#include "server/api/request_check.h"
#include "server/api/rpc_trace.h"
#include "server/engine/requests/rpc_list.h"

namespace millrace::api {
namespace {

// Returns the time by which the client wants its answer on the way.
TimePoint AnswerBy(const grpc::CallbackServerContext& context, const Clock& clock) {
  const TimePoint deadline = DeadlineOf(context, clock);
  return deadline == kNever ? kNever : deadline - kAnswerMargin;
}

// Returns whether the answer may be as far away as the end of a run.
template <typename Request>
bool WaitsForRun(const Request& request) {
  if constexpr (std::is_same_v<Request, v1::CreateRunRequest>) return request.has_wait();
  return std::is_same_v<Request, v1::WaitRunRequest>;
}

Status AdmitRequest(const RpcHost& host, const google::protobuf::Message& request) {
  MR_RETURN_IF_ERROR(host.Admit());
  return CheckRequest(request);
}

// A definition that a request brings, and the name of its field.
struct Brought {
  const v1::Pipeline* definition = nullptr;  // null: none
  std::string_view field;
};

template <typename Request>
Brought DefinitionIn(const Request& request) {
  constexpr bool kIsCreate = std::is_same_v<Request, v1::CreateRunRequest>;
  if constexpr (kIsCreate) {
    if (request.has_definition()) return {.definition = &request.definition(), .field = "definition"};
  }
  if constexpr (std::is_same_v<Request, v1::ApplyPipelineRequest> || std::is_same_v<Request, v1::PlanPipelineRequest>) {
    if (request.has_pipeline()) return {.definition = &request.pipeline(), .field = "pipeline"};
  }
  return {};
}

// Ends an RPC that was refused at the door, with the mistakes of its definition as well.
template <typename Response>
Task<void> RefuseWithAll(PipelinesApi& api, std::shared_ptr<UnaryRpc<Response>> rpc, v1::ApplyPipelineRequest request,
                         std::string field, Status wrong) {
  request.set_validate_only(true);
  RequestContext context(kNever, rpc->left());
  const StatusOr<v1::ApplyPipelineResponse> checked =
      co_await api.ApplyPipeline(std::move(context), std::move(request));
  rpc->Answer(WithMistakesOf(wrong, field, checked.status()));
}

// Awaits a method of an API on the loop, and answers its RPC.
template <typename Api, typename Request, typename Response>
Task<void> Handle(Api& api, Task<StatusOr<Response>> (Api::*method)(RequestContext, Request),
                  std::shared_ptr<UnaryRpc<Response>> rpc, RequestContext context, Request request, RpcTrace trace) {
  context.trace = trace.ref();
  StatusOr<Response> result = co_await (api.*method)(std::move(context), std::move(request));
  trace.End(result.status());
  rpc->Answer(std::move(result));
}

// Answers an RPC by a method of an API.
template <typename Api, typename Request, typename Response>
grpc::ServerUnaryReactor* Unary(RpcHost& host, Api& api,
                                Task<StatusOr<Response>> (Api::*method)(RequestContext, Request), const char* name,
                                grpc::CallbackServerContext* context, const Request* request, Response* response) {
  const AtEnd at_end = WaitsForRun(*request) ? AtEnd::kCut : AtEnd::kAnswer;
  const std::shared_ptr<UnaryRpc<Response>> rpc = UnaryRpc<Response>::Begin(host, response, at_end);
  if (const Status admitted = AdmitRequest(host, *request); !admitted.ok()) {
    const Brought brought = host.Admit().ok() ? DefinitionIn(*request) : Brought();
    if (brought.definition == nullptr) {
      rpc->End(admitted);
      return rpc.get();
    }
    v1::ApplyPipelineRequest check;
    *check.mutable_pipeline() = *brought.definition;
    auto refuse = [&host, rpc, check = std::move(check), field = std::string(brought.field), admitted]() mutable {
      host.loop().Spawn(RefuseWithAll<Response>(host.apis().pipelines, std::move(rpc), std::move(check),
                                                std::move(field), std::move(admitted)));
    };
    host.loop().Post(std::move(refuse));
    return rpc.get();
  }
  auto begin = [&host, &api, method, rpc, request = *request, answer_by = AnswerBy(*context, host.loop().clock()),
                caller = RpcCaller(host.tracer(), name, *context, host.loop().clock())]() mutable {
    RequestContext context(answer_by, rpc->left());
    host.loop().Spawn(
        Handle(api, method, std::move(rpc), std::move(context), std::move(request), RpcTrace(std::move(caller))));
  };
  host.loop().Post(std::move(begin));
  return rpc.get();
}

// Sends a stream page by page, until its end or the client has left.
template <typename Response, typename Request, typename NextPage>
Task<void> Stream(RpcHost& host, std::shared_ptr<StreamRpc<Response>> rpc, Request request, NextPage next_page,
                  RpcTrace trace) {
  while (!rpc->ended()) {
    std::vector<Response> page;
    StatusOr<bool> end = co_await next_page(host, request, page);
    if (!end.ok()) {
      trace.End(end.status());
      rpc->End(end.status());
      co_return;
    }
    if (!page.empty()) {
      const bool written = co_await rpc->Write(std::move(page));
      if (!written) co_return;
    }
    if (*end) {
      trace.End(absl::OkStatus());
      rpc->End(absl::OkStatus());
    }
  }
}

// Begins a stream. If it is refused, it has ended.
template <typename Response>
std::shared_ptr<StreamRpc<Response>> BeginStream(RpcHost& host, const google::protobuf::Message& request,
                                                 StreamKind kind) {
  std::shared_ptr<StreamRpc<Response>> rpc = StreamRpc<Response>::Begin(host, kind);
  const bool fits = host.BeginStream(kind);
  const Status admitted = AdmitRequest(host, request);
  if (!admitted.ok() || !fits) {
    const Status too_many = MakeError(Reason::kTooMany, "this server has as many streams as it takes at once");
    rpc->End(admitted.ok() ? WithRetryDelay(too_many, std::chrono::seconds(1)) : admitted);
  }
  return rpc;
}

template <typename Response, typename Request, typename NextPage>
grpc::ServerWriteReactor<Response>* StartStream(RpcHost& host, const char* name, grpc::CallbackServerContext* context,
                                                const Request* request, NextPage next_page) {
  const std::shared_ptr<StreamRpc<Response>> rpc = BeginStream<Response>(host, *request, StreamKind::kPages);
  if (rpc->ended()) return rpc.get();
  auto begin = [&host, rpc, request = *request, next_page,
                caller = RpcCaller(host.tracer(), name, *context, host.loop().clock())]() mutable {
    host.loop().Spawn(Stream<Response, Request, NextPage>(host, std::move(rpc), std::move(request), next_page,
                                                          RpcTrace(std::move(caller))));
  };
  host.loop().Post(std::move(begin));
  return rpc.get();
}

Task<StatusOr<bool>> NextEvents(RpcHost& host, v1::WatchRunRequest& request, std::vector<v1::WatchRunResponse>& page) {
  RequestContext context(host.loop().Now() + kSlice);
  MR_CO_ASSIGN_OR_RETURN(RunsApi::EventPage events, co_await host.apis().runs.NextEvents(std::move(context), request));
  for (v1::RunEvent& event : events.events) {
    request.set_after(event.number());
    *page.emplace_back().mutable_event() = std::move(event);
  }
  co_return events.end;
}

Task<StatusOr<bool>> NextItems(RpcHost& host, v1::StreamItemsRequest& request,
                               std::vector<v1::StreamItemsResponse>& page) {
  RequestContext context(host.loop().Now() + kSlice);
  MR_CO_ASSIGN_OR_RETURN(RunsApi::ItemPage items, co_await host.apis().runs.NextItems(std::move(context), request));
  page = std::move(items.items);
  if (!page.empty()) request.set_resume_token(page.back().resume_token());
  co_return items.end;
}

using AnswerRpc = StreamRpc<v1::StreamGenerateResponse>;

// Awaits the answer; its text goes to the stream while it is made.
Task<void> AwaitAnswer(CompletionsApi& api, std::shared_ptr<AnswerStream> stream, RequestContext context,
                       v1::StreamGenerateRequest request, RpcTrace trace) {
  context.trace = trace.ref();
  StatusOr<v1::GenerateResponse> result = co_await api.StreamGenerate(std::move(context), std::move(request), stream);
  trace.End(result.status());
  stream->End(std::move(result));
}

// Sends the messages of the stream, as fast as the client reads them.
Task<void> SendAnswer(std::shared_ptr<AnswerRpc> rpc, std::shared_ptr<AnswerStream> stream) {
  while (!rpc->ended()) {
    AnswerStream::Page page = co_await stream->Next();
    if (!page.messages.empty()) {
      const bool written = co_await rpc->Write(std::move(page.messages));
      if (!written) co_return;
    }
    if (page.end) rpc->End(*page.end);
  }
}

grpc::ServerWriteReactor<v1::StreamGenerateResponse>* StartAnswer(RpcHost& host, CompletionsApi& api,
                                                                  grpc::CallbackServerContext* context,
                                                                  const v1::StreamGenerateRequest* request) {
  const std::shared_ptr<AnswerRpc> rpc = BeginStream<v1::StreamGenerateResponse>(host, *request, StreamKind::kAnswer);
  if (rpc->ended()) return rpc.get();
  auto begin = [&host, &api, rpc, request = *request, answer_by = AnswerBy(*context, host.loop().clock()),
                caller = RpcCaller(host.tracer(), "millrace.v1.CompletionService/StreamGenerate", *context,
                                   host.loop().clock())]() mutable {
    RequestContext call(answer_by, rpc->left());
    const auto stream = std::make_shared<AnswerStream>(host.loop());
    host.loop().Spawn(SendAnswer(std::move(rpc), stream));
    host.loop().Spawn(AwaitAnswer(api, stream, std::move(call), std::move(request), RpcTrace(std::move(caller))));
  };
  host.loop().Post(std::move(begin));
  return rpc.get();
}

// The unary RPCs of a class that has `host_` and `api_`.
#define MR_UNARY(Service, Name)                                                                                  \
  grpc::ServerUnaryReactor* Name(grpc::CallbackServerContext* context, const v1::Name##Request* request,         \
                                 v1::Name##Response* response) override {                                        \
    return Unary(host_, api_, &std::remove_reference_t<decltype(api_)>::Name, "millrace.v1." #Service "/" #Name, \
                 context, request, response);                                                                    \
  }

class PipelineService final : public v1::PipelineService::CallbackService {
 public:
  explicit PipelineService(RpcHost& host) : host_(host), api_(host.apis().pipelines) {}
  MR_PIPELINE_RPCS(MR_UNARY)

 private:
  RpcHost& host_;
  PipelinesApi& api_;
};

class RunService final : public v1::RunService::CallbackService {
 public:
  explicit RunService(RpcHost& host) : host_(host), api_(host.apis().runs) {}
  MR_RUN_RPCS(MR_UNARY)

  grpc::ServerWriteReactor<v1::WatchRunResponse>* WatchRun(grpc::CallbackServerContext* context,
                                                           const v1::WatchRunRequest* request) override {
    return StartStream<v1::WatchRunResponse>(host_, "millrace.v1.RunService/WatchRun", context, request, &NextEvents);
  }
  grpc::ServerWriteReactor<v1::StreamItemsResponse>* StreamItems(grpc::CallbackServerContext* context,
                                                                 const v1::StreamItemsRequest* request) override {
    return StartStream<v1::StreamItemsResponse>(host_, "millrace.v1.RunService/StreamItems", context, request,
                                                &NextItems);
  }

 private:
  RpcHost& host_;
  RunsApi& api_;
};

class CompletionService final : public v1::CompletionService::CallbackService {
 public:
  explicit CompletionService(RpcHost& host) : host_(host), api_(host.apis().completions) {}
  MR_COMPLETION_RPCS(MR_UNARY)

  grpc::ServerWriteReactor<v1::StreamGenerateResponse>* StreamGenerate(
      grpc::CallbackServerContext* context, const v1::StreamGenerateRequest* request) override {
    return StartAnswer(host_, api_, context, request);
  }

 private:
  RpcHost& host_;
  CompletionsApi& api_;
};

class AdminService final : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(RpcHost& host) : host_(host), api_(host.apis().admin) {}
  MR_ADMIN_RPCS(MR_UNARY)

 private:
  RpcHost& host_;
  AdminApi& api_;
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
