#include "server/rpc/grpc_client.h"

#include <fmt/format.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/thread.h"
#include "server/http/url.h"
#include "server/rpc/rpc_status.h"

// GCC 12 takes Asio's allocator of coroutine frames for another one than that which frees them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

using Operation = std::shared_ptr<Promise<bool>>;

constexpr char kDeadlinePassed[] = "the total time limit passed";
constexpr char kTooLarge[] = "the answer is larger than the limit";
constexpr char kNotTaken[] = "the request was not taken within the time limit";
// A channel does not try to connect in this time after a failure, in which a server that is back would be missed.
constexpr int kReconnectMillisFirst = 100;
constexpr int kReconnectMillisMax = 1000;
// Time for one attempt to connect, TLS included. gRPC calls it the least time between two attempts.
constexpr int kConnectMillis = 5000;
// Time to learn why a channel has no connection. It is known at once unless the channel connects meanwhile.
constexpr std::chrono::seconds kWhyMax(1);
// A status that ends an RPC this long before its deadline counts as the end by the deadline.
constexpr std::chrono::milliseconds kDeadlineMargin(100);
// Longest wait for a change of a channel's state, which a cancelled request and the end of the process wait out.
constexpr std::chrono::milliseconds kStateWait(100);

// One RPC. Operations in flight keep it alive.
struct Call {
  explicit Call(const HttpLimits& limits) : deadline(limits.deadline), stop(limits.stop) {}

  void End(const char* reason) {
    if (ended == nullptr) ended = reason;
    context.TryCancel();
  }
  bool was_cancelled() const { return stop != nullptr && stop->stopped(); }

  const TimePoint deadline;
  const std::shared_ptr<StopSignal> stop;
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream;
  grpc::ByteBuffer received;
  grpc::Status status;
  const char* ended = nullptr;    // why End was called; null if it was not
  bool exceeded_a_limit = false;  // of time
};

// An operation of gRPC in flight.
struct Tag {
  std::shared_ptr<Call> call;
  Operation operation;
};

bool IsMetadata(const std::string& key, const std::string& value) {
  const auto is_key = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  return !key.empty() && !key.starts_with("grpc-") && !key.ends_with("-bin") &&
         std::all_of(key.begin(), key.end(), is_key) && std::all_of(value.begin(), value.end(), is_printable);
}

// gRPC aborts the process if metadata are not allowed, so this refuses them.
bool AddMetadata(const HttpHeaders& headers, grpc::ClientContext& context) {
  for (const auto& [name, value] : headers) {
    std::string key = name;
    std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!IsMetadata(key, value)) return false;
    context.AddMetadata(key, value);
  }
  return true;
}

// Returns the message as it is on the wire.
std::string Framed(const grpc::ByteBuffer& message) {
  const size_t size = message.Length();
  std::string frame(1, '\0');
  frame.reserve(5 + size);
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(size >> shift));
  std::vector<grpc::Slice> slices;
  if (message.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) frame.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return frame;
}

HttpHeaders InitialMetadata(const grpc::ClientContext& context) {
  HttpHeaders headers;
  for (const auto& [key, value] : context.GetServerInitialMetadata()) {
    headers.emplace_back(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  }
  return headers;
}

// Origin of the status of an RPC that failed: the server sent it, or gRPC made it because the connection broke.
enum class Origin { kServer, kConnection, kEither };

// Returns the origin as far as code and words show it. gRPC reports a status that it made like one that it received.
Origin OriginOfStatus(const grpc::Status& status) {
  using grpc::StatusCode;
  const StatusCode code = status.error_code();
  if (code != StatusCode::UNAVAILABLE && code != StatusCode::INTERNAL && code != StatusCode::UNKNOWN &&
      code != StatusCode::CANCELLED && code != StatusCode::RESOURCE_EXHAUSTED) {
    return Origin::kServer;
  }
  for (const char* words : {"Socket closed", "Stream removed", "recvmsg:", "RST_STREAM", "GOAWAY", "keepalive watchdog",
                            "Received http2 header", "metadata size exceeds"}) {
    if (status.error_message().find(words) != std::string::npos) return Origin::kConnection;
  }
  return code == StatusCode::RESOURCE_EXHAUSTED ? Origin::kServer : Origin::kEither;
}

// Returns whether a message of the answer exceeded the limit of its channel. A server that refuses the request for its
// size uses the same words, with the size of the request.
bool IsAnswerTooLarge(const grpc::Status& status, size_t request_bytes) {
  const std::string& words = status.error_message();
  return status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
         words.starts_with("Received message larger than max") &&
         words.find(fmt::format("({} vs.", request_bytes)) == std::string::npos;
}

bool IsNoSuchHost(const grpc::Status& status) {
  return status.error_message().find("Domain name not found") != std::string::npos;
}

// Returns why a channel has no connection, from the status of an RPC that did not wait for one.
std::string WordsOfNoConnection(const grpc::Status& status) {
  if (IsNoSuchHost(status)) return "no connection: the host name does not exist";
  std::string words = status.error_message();
  for (const std::string_view noise :
       {"failed to connect to all addresses; last error: ", "UNKNOWN: ", "UNAVAILABLE: "}) {
    if (words.starts_with(noise)) words.erase(0, noise.size());
  }
  return fmt::format("no connection: {}", words);
}

class GrpcClient final : public HttpClient {
 public:
  GrpcClient(Loop& loop, HttpClient& others, GrpcClientOptions options)
      : loop_(loop), others_(others), options_(std::move(options)) {}

  ~GrpcClient() override {
    for (const auto& [number, call] : calls_) call->context.TryCancel();
    if (!thread_.joinable()) return;
    queue_->Shutdown();
    thread_.join();
  }

  Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) override {
    if (HttpUrlOfRpc(request.url).empty()) return others_.Send(std::move(request), std::move(limits), sink);
    return SendRpc(std::move(request), std::move(limits), sink);
  }

 private:
  Task<HttpResult> SendRpc(HttpRequest request, HttpLimits limits, HttpSink& sink) {
    HttpResult result;
    const auto call = std::make_shared<Call>(limits);
    const StatusOr<HttpUrl> url = ParseHttpUrl(HttpUrlOfRpc(request.url));
    if (!url.ok() || !AddMetadata(request.headers, call->context)) {
      result.error = url.ok() ? "a header can't be sent as metadata of gRPC" : std::string(MessageOf(url.status()));
      co_return result;
    }
    Start();
    const std::string origin = OriginOf(request.url);
    call->channel = ChannelTo(origin, *url);
    const uint64_t number = Keep(call);
    {
      std::optional<StopSignal::Watch> watch;
      if (limits.stop != nullptr) {
        watch.emplace(*limits.stop, [raw = call.get()] { raw->End("cancelled"); });
        if (limits.stop->stopped()) call->End("cancelled");
      }
      const bool is_connected = co_await Connect(call, limits, result);
      if (is_connected) co_await Perform(call, url->target, std::move(request.body), limits, sink, result);
    }
    calls_.erase(number);
    // The connection may be dead without a sign of it. Others that use the channel keep it until they end.
    if (const auto found = channels_.find(origin);
        call->exceeded_a_limit && found != channels_.end() && found->second == call->channel) {
      channels_.erase(found);
    }
    co_return result;
  }

  // Waits until the channel has a connection. False: it has none, and the outcome is in `result`.
  Task<bool> Connect(std::shared_ptr<Call> call, const HttpLimits& limits, HttpResult& result) {
    const TimePoint until = std::min(limits.deadline, loop_.Now() + limits.connect);
    while (call->ended == nullptr) {
      const grpc_connectivity_state state = call->channel->GetState(true);
      if (state == GRPC_CHANNEL_READY) co_return true;
      if (state == GRPC_CHANNEL_SHUTDOWN || state == GRPC_CHANNEL_TRANSIENT_FAILURE) {
        co_await Explain(call->channel, result);
        co_return false;
      }
      if (loop_.Now() >= until) {
        result.error = "no connection within the time limit";
        co_return false;
      }
      const Operation changed = std::make_shared<Promise<bool>>(loop_);
      call->channel->NotifyOnStateChange(state, std::chrono::system_clock::now() + kStateWait, queue_.get(),
                                         new Tag{call, changed});
      co_await changed->Wait();
    }
    result.outcome = HttpOutcome::kCancelled;
    result.error = call->ended;
    co_return false;
  }

  // Finds why a channel has no connection, by an RPC that does not wait for one. If it has one by now, the RPC is a
  // health check, which costs nothing.
  Task<void> Explain(std::shared_ptr<grpc::Channel> channel, HttpResult& result) {
    const HttpLimits no_limits;
    const auto call = std::make_shared<Call>(no_limits);
    call->channel = std::move(channel);
    call->context.set_deadline(std::chrono::system_clock::now() + kWhyMax);
    grpc::GenericStub stub(call->channel);
    call->stream = stub.PrepareCall(&call->context, "/grpc.health.v1.Health/Check", queue_.get());
    const uint64_t number = Keep(call);
    Operation operation = std::make_shared<Promise<bool>>(loop_);
    call->stream->StartCall(new Tag{call, operation});
    co_await operation->Wait();
    operation = std::make_shared<Promise<bool>>(loop_);
    call->stream->Finish(&call->status, new Tag{call, operation});
    co_await operation->Wait();
    calls_.erase(number);
    const bool is_back = call->status.error_code() != grpc::StatusCode::UNAVAILABLE;
    result.error = is_back ? "no connection: the last attempt to connect failed" : WordsOfNoConnection(call->status);
    result.no_such_host = !is_back && IsNoSuchHost(call->status);
  }

  Task<void> Perform(std::shared_ptr<Call> call, const std::string& method, std::string body, const HttpLimits& limits,
                     HttpSink& sink, HttpResult& result) {
    if (call->deadline != kNever) {
      call->context.set_deadline(std::chrono::system_clock::now() +
                                 std::chrono::duration_cast<std::chrono::system_clock::duration>(
                                     std::max(Duration::zero(), call->deadline - loop_.Now())));
    }
    grpc::GenericStub stub(call->channel);
    call->stream = stub.PrepareCall(&call->context, method, queue_.get());
    Operation operation = std::make_shared<Promise<bool>>(loop_);
    call->stream->StartCall(new Tag{call, operation});
    bool goes_on = co_await Done(call, operation, limits.idle, kNotTaken);
    if (goes_on) {
      // Until now the server has only got the name of the method.
      result.outcome = HttpOutcome::kUnknown;
      result.bytes_sent = body.size();
      const grpc::Slice slice(body);
      const grpc::ByteBuffer message(&slice, 1);
      operation = std::make_shared<Promise<bool>>(loop_);
      call->stream->WriteLast(message, grpc::WriteOptions(), new Tag{call, operation});
      goes_on = co_await Done(call, operation, limits.idle, kNotTaken);
    }
    bool has_head = false;
    bool sink_ended = false;
    while (goes_on) {
      operation = std::make_shared<Promise<bool>>(loop_);
      call->stream->Read(&call->received, new Tag{call, operation});
      const Duration limit = has_head ? limits.idle : limits.first_byte;
      const char* const what = has_head ? "the answer stopped" : "no answer within the time limit";
      goes_on = co_await Done(call, operation, limit, what);
      if (!goes_on) break;
      std::string frame = Framed(call->received);
      result.bytes_received += frame.size();
      if (result.bytes_received > limits.body_bytes_max) {
        result.outcome = HttpOutcome::kTooLarge;
        break;
      }
      if (!has_head) {
        has_head = true;
        result.status = 200;
        result.outcome = HttpOutcome::kPartial;
        goes_on = co_await sink.Head(200, InitialMetadata(call->context));
      }
      if (goes_on) goes_on = co_await sink.Body(std::move(frame));
      sink_ended = !goes_on;
    }
    if (sink_ended || result.outcome == HttpOutcome::kTooLarge) call->context.TryCancel();
    operation = std::make_shared<Promise<bool>>(loop_);
    call->stream->Finish(&call->status, new Tag{call, operation});
    co_await Done(call, operation, limits.idle, "the answer did not end");
    if (sink_ended) {
      result.outcome = HttpOutcome::kEnded;
    } else if (result.outcome == HttpOutcome::kTooLarge) {
      result.error = kTooLarge;
    } else {
      co_await Conclude(call, has_head, sink, result);
    }
  }

  // Finds the outcome of an RPC that its sink has not ended.
  Task<void> Conclude(std::shared_ptr<Call> call, bool has_head, HttpSink& sink, HttpResult& result) {
    if (call->was_cancelled()) result.outcome = HttpOutcome::kCancelled;
    if (call->ended != nullptr) {
      result.error = call->ended;
      co_return;
    }
    const grpc::Status& status = call->status;
    if (IsAnswerTooLarge(status, result.bytes_sent)) {
      result.outcome = HttpOutcome::kTooLarge;
      result.error = kTooLarge;
      co_return;
    }
    // The server may end an RPC by its deadline, too; either way nobody knows what it has done.
    const bool is_late =
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && call->deadline - loop_.Now() < kDeadlineMargin;
    if (is_late || (!status.ok() && (has_head || !co_await IsFromServer(call)))) {
      result.error = is_late ? kDeadlinePassed : WordsOf(status);
      co_return;
    }
    result.outcome = HttpOutcome::kAnswered;
    if (has_head) co_return;
    result.status = HttpStatusOf(status);
    HttpHeaders headers = HeadersOf(status);
    bool goes_on = co_await sink.Head(result.status, std::move(headers));
    if (goes_on && !status.ok()) {
      std::string words = WordsOf(status);
      goes_on = co_await sink.Body(std::move(words));
    }
    if (!goes_on) result.outcome = HttpOutcome::kEnded;
  }

  // Returns whether the server sent the status of an RPC that failed. If the words leave it open, a connection that
  // lives on shows it.
  Task<bool> IsFromServer(std::shared_ptr<Call> call) {
    const Origin origin = OriginOfStatus(call->status);
    if (origin != Origin::kEither) co_return origin == Origin::kServer;
    if (call->channel->GetState(false) != GRPC_CHANNEL_READY) co_return false;
    const Operation changed = std::make_shared<Promise<bool>>(loop_);
    call->channel->NotifyOnStateChange(GRPC_CHANNEL_READY, std::chrono::system_clock::now() + kStateWait, queue_.get(),
                                       new Tag{call, changed});
    co_await changed->Wait();
    co_return !changed->value();
  }

  // Waits for an operation, and ends the RPC if a time limit passes first. Returns whether the operation succeeded.
  Task<bool> Done(std::shared_ptr<Call> call, Operation operation, Duration limit, const char* what) {
    const TimePoint now = loop_.Now();
    const bool is_last = call->deadline - now < limit;
    const bool is_in_time = co_await operation->WaitUntil(is_last ? call->deadline : now + limit);
    if (!is_in_time) {
      call->End(is_last ? kDeadlinePassed : what);
      call->exceeded_a_limit = true;
      co_await operation->Wait();
    }
    co_return operation->value();
  }

  // Starts the thread that takes the ends of operations, with the first RPC.
  void Start() {
    if (queue_ != nullptr) return;
    queue_ = std::make_unique<grpc::CompletionQueue>();
    thread_ = std::thread([this] {
      NameThread("rpc");
      void* raw = nullptr;
      bool is_done = false;
      while (queue_->Next(&raw, &is_done)) {
        std::unique_ptr<Tag> tag(static_cast<Tag*>(raw));
        loop_.Post([tag = std::move(tag), is_done] { tag->operation->Set(is_done); });
      }
    });
  }

  // Keeps a call, so that it is cancelled if the client ends first. Returns its number in `calls_`.
  uint64_t Keep(std::shared_ptr<Call> call) {
    calls_.emplace(++number_, std::move(call));
    return number_;
  }

  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& origin, const HttpUrl& url) {
    std::shared_ptr<grpc::Channel>& channel = channels_[origin];
    if (channel != nullptr) return channel;
    const std::string target = url.host.find(':') == std::string::npos
                                   ? fmt::format("dns:///{}:{}", url.host, url.port)
                                   : fmt::format("ipv6:[{}]:{}", url.host, url.port);
    grpc::ChannelArguments arguments;
    arguments.SetUserAgentPrefix("millrace");
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // a provider may bill each
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMillisFirst);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMillis);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMillisMax);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(static_cast<int>(options_.response_bytes_max));
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    if (url.tls) {
      grpc::SslCredentialsOptions trust;
      if (const auto roots = options_.roots.find(origin); roots != options_.roots.end()) {
        trust.pem_root_certs = roots->second;
      }
      credentials = grpc::SslCredentials(trust);
    }
    channel = grpc::CreateCustomChannel(target, credentials, arguments);
    return channel;
  }

  Loop& loop_;
  HttpClient& others_;
  const GrpcClientOptions options_;
  std::unique_ptr<grpc::CompletionQueue> queue_;  // null until the first RPC
  std::thread thread_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;  // by origin
  std::map<uint64_t, std::shared_ptr<Call>> calls_;                 // in flight
  uint64_t number_ = 0;
};

}  // namespace

std::unique_ptr<HttpClient> MakeGrpcClient(Loop& loop, HttpClient& others, GrpcClientOptions options) {
  return std::make_unique<GrpcClient>(loop, others, std::move(options));
}

}  // namespace millrace

#pragma GCC diagnostic pop
