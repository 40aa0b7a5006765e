#include "client/lib/client.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <tuple>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "millrace/v1/admin_service.grpc.pb.h"
#include "millrace/v1/completion_service.grpc.pb.h"
#include "millrace/v1/pipeline_service.grpc.pb.h"
#include "millrace/v1/run_service.grpc.pb.h"

namespace millrace::client {
namespace {

constexpr int kMessageBytesMax = 64 << 20;

// Converts a gRPC status and its google.rpc details. Errors of gRPC itself have no details; among these, a missing
// server and a message that is too large can be corrected by the user, so these get a hint.
Status FromGrpc(const grpc::Status& status, const std::string& target) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  google::rpc::Status details;
  std::string reason;
  std::vector<FieldViolation> violations;
  std::optional<Duration> retry;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : details.details()) {
      google::rpc::ErrorInfo info;
      google::rpc::BadRequest bad_request;
      google::rpc::RetryInfo retry_info;
      if (any.UnpackTo(&info)) {
        reason = info.reason();
      } else if (any.UnpackTo(&bad_request)) {
        for (const auto& violation : bad_request.field_violations()) {
          violations.push_back({violation.field(), violation.description()});
        }
      } else if (any.UnpackTo(&retry_info)) {
        retry = std::chrono::seconds(retry_info.retry_delay().seconds()) + Duration(retry_info.retry_delay().nanos());
      }
    }
  }
  if (reason.empty() && code == absl::StatusCode::kUnavailable) {
    return Status(code,
                  fmt::format("no answer from {}: {}; is a server running there?", target, status.error_message()));
  }
  if (reason.empty() && code == absl::StatusCode::kResourceExhausted &&
      status.error_message().find("message larger than max") != std::string::npos) {
    const bool is_ours = status.error_message().find(fmt::format("vs. {})", kMessageBytesMax)) != std::string::npos;
    return Status(code, is_ours ? fmt::format("the answer is larger than the 64 MiB that this command takes ({}); ask "
                                              "for less at once",
                                              status.error_message())
                                : fmt::format("the request is larger than {} takes ({}); send less at once, or raise "
                                              "`limits.max_message_bytes` in its configuration",
                                              target, status.error_message()));
  }
  if (reason.empty()) return Status(code, status.error_message());
  Status result = ErrorFromPeer(code, reason, status.error_message(), violations);
  return retry ? WithRetryDelay(std::move(result), *retry) : result;
}

class GrpcClient final : public Client {
 public:
  GrpcClient(const std::string& target, Duration patience) : target_(target) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
    // The caller retries; retries on two levels would multiply.
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    // Ignore http_proxy: a proxy for the web does not lead to a millrace server, least of all to one on this machine.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    // Notice within 30 s that a server has vanished, however long its calls may take.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    if (target.rfind("unix:", 0) == 0) arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    channel_ = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
    if (patience > Duration(0)) AwaitConnection(patience);
    stubs_ = {v1::PipelineService::NewStub(channel_), v1::RunService::NewStub(channel_),
              v1::CompletionService::NewStub(channel_), v1::AdminService::NewStub(channel_)};
  }

#define MR_DEFINE(Service, Name)                                                                     \
  StatusOr<v1::Name##Response> Name(const v1::Name##Request& request) override {                     \
    grpc::ClientContext context;                                                                     \
    const Underway underway(*this, context);                                                         \
    LimitTime(context);                                                                              \
    v1::Name##Response response;                                                                     \
    const Status status = FromGrpc(Stub<v1::Service>().Name(&context, request, &response), target_); \
    if (!status.ok()) return status;                                                                 \
    return response;                                                                                 \
  }
  MR_ALL_RPCS(MR_DEFINE)
#undef MR_DEFINE

  Status WatchRun(const v1::WatchRunRequest& request, const std::function<bool(const v1::RunEvent&)>& take) override {
    grpc::ClientContext context;
    const Underway underway(*this, context);
    const auto reader = Stub<v1::RunService>().WatchRun(&context, request);
    v1::WatchRunResponse response;
    bool taken = true;
    while (taken && reader->Read(&response)) taken = take(response.event());
    if (!taken) context.TryCancel();
    const grpc::Status status = reader->Finish();
    return taken ? FromGrpc(status, target_) : absl::OkStatus();
  }

  Status StreamGenerate(const v1::StreamGenerateRequest& request,
                        const std::function<void(const v1::StreamGenerateResponse&)>& take) override {
    grpc::ClientContext context;
    const Underway underway(*this, context);
    LimitTime(context);
    const auto reader = Stub<v1::CompletionService>().StreamGenerate(&context, request);
    v1::StreamGenerateResponse response;
    while (reader->Read(&response)) take(response);
    return FromGrpc(reader->Finish(), target_);
  }

  bool AwaitConnection(Duration patience) override {
    return channel_->WaitForConnected(std::chrono::system_clock::now() +
                                      std::chrono::duration_cast<std::chrono::system_clock::duration>(patience));
  }

  void SetTimeout(Duration timeout) override { timeout_nanos_ = timeout.count(); }

  void Interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }

  void Reset() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = false;
  }

 private:
  template <typename Service>
  typename Service::Stub& Stub() const {
    return *std::get<std::unique_ptr<typename Service::Stub>>(stubs_);
  }

  void LimitTime(grpc::ClientContext& context) const {
    const int64_t nanos = timeout_nanos_;
    if (nanos <= 0) return;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(Duration(nanos)));
  }

  // Registers the current call so that another thread can interrupt it.
  class Underway {
   public:
    Underway(GrpcClient& client, grpc::ClientContext& context) : client_(client) {
      const std::lock_guard lock(client_.mutex_);
      client_.context_ = &context;
      if (client_.interrupted_) context.TryCancel();
    }
    ~Underway() {
      const std::lock_guard lock(client_.mutex_);
      client_.context_ = nullptr;
    }

   private:
    GrpcClient& client_;
  };

  const std::string target_;
  std::shared_ptr<grpc::Channel> channel_;
  std::tuple<std::unique_ptr<v1::PipelineService::Stub>, std::unique_ptr<v1::RunService::Stub>,
             std::unique_ptr<v1::CompletionService::Stub>, std::unique_ptr<v1::AdminService::Stub>>
      stubs_;
  std::atomic<int64_t> timeout_nanos_{0};
  std::mutex mutex_;
  grpc::ClientContext* context_ = nullptr;  // guarded by mutex_
  bool interrupted_ = false;                // guarded by mutex_
};

}  // namespace

std::unique_ptr<Client> Client::Dial(const std::string& target, Duration patience) {
  return std::make_unique<GrpcClient>(target, patience);
}

}  // namespace millrace::client
