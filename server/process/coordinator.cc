#include "server/process/coordinator.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <thread>

#include "server/api/server.h"
#include "server/aws/credentials.h"
#include "server/aws/signer.h"
#include "server/aws/system.h"
#include "server/base/descriptors.h"
#include "server/base/duration.h"
#include "server/base/pool.h"
#include "server/base/secret.h"
#include "server/base/text_file.h"
#include "server/base/thread.h"
#include "server/base/utf8.h"
#include "server/config/server_config.h"
#include "server/engine/engine.h"
#include "server/files/files.h"
#include "server/http/beast_client.h"
#include "server/http/url.h"
#include "server/llm/calls.h"
#include "server/llm/traced_calls.h"
#include "server/otlp/exporter.h"
#include "server/otlp/settings.h"
#include "server/process/descriptor_needs.h"
#include "server/process/own_files.h"
#include "server/process/port_holder.h"
#include "server/process/preflight.h"
#include "server/rpc/certificates.h"
#include "server/rpc/grpc_client.h"
#include "server/stages/registry.h"
#include "server/storage/rocks_store.h"
#include "server/trace/recorder.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr size_t kConfigMibMax = 1;
// Threads for work that may take long. More than processors, because the system gives each of them its share: one run
// whose patterns take seconds for each item does not keep the others waiting.
constexpr int kSlowThreads = 4;
constexpr int kCheckThreads = 2;
// Starts of a run after each of which the server was killed.
constexpr int kStartsMax = 3;
// Time in which answers of calls that have ended are stored and sent at the end. A client that does not read can't keep
// the server longer.
constexpr std::chrono::seconds kAnswersPatience(3);
// Time in which the spans that wait are sent at the end.
constexpr std::chrono::seconds kTracesPatience(2);

Durability MakeDurability(const v1::Durability& config) {
  if (config.has_interval()) return {.mode = Durability::Mode::kInterval, .interval = ToDuration(config.interval())};
  return {.mode = config.mode() == v1::Durability::MODE_PROCESS ? Durability::Mode::kProcess : Durability::Mode::kSync};
}

std::string DurabilityText(const Durability& durability) {
  switch (durability.mode) {
    case Durability::Mode::kSync:
      return "sync";
    case Durability::Mode::kProcess:
      return "process";
    case Durability::Mode::kInterval:
      return fmt::format("interval {}ms",
                         std::chrono::duration_cast<std::chrono::milliseconds>(durability.interval).count());
  }
  return "";
}

Duration ThreadCpuTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Returns the configured address with the port that was bound, since port 0 asks for any.
std::string BoundAddress(const std::string& address, int port) {
  return fmt::format("{}:{}", address.substr(0, address.rfind(':')), port);
}

StatusOr<Secret> MakeSecret(const v1::Secret& config, const std::string& config_dir) {
  if (!config.env().empty()) return Secret::FromEnvironment(config.env());
  if (config.file().empty()) return Secret();
  return Secret::FromFile((fs::path(config_dir) / config.file()).string());
}

// Adds the whole path of a secret's file to its error. Only for the user who starts the process: clients do not learn
// where secrets are.
Status WithPath(const Status& status, const v1::Secret& config, const std::string& config_dir) {
  if (config.file().empty()) return status;
  std::error_code error;
  const fs::path path = fs::absolute(fs::path(config_dir) / config.file(), error);
  return WithContext(status, Excerpt(path.lexically_normal().string(), 256));
}

// Names the place of a secret for people, without the folders of a file.
std::string SourceOf(const v1::Secret& config) {
  if (!config.env().empty()) return fmt::format("the environment variable {}", config.env());
  if (!config.file().empty()) return fmt::format("the file {}", fs::path(config.file()).filename().string());
  return "";
}

StatusOr<std::unique_ptr<BackendEntry>> MakeBackend(const backend::BackendKinds& kinds, const v1::BackendConfig& config,
                                                    const std::string& config_dir, Secrets secrets) {
  const backend::BackendKind* kind = kinds.Of(config);
  if (kind == nullptr) {
    return MakeError(Reason::kInvalidDefinition, fmt::format("backend `{}` has no kind", config.name()));
  }
  auto entry = std::make_unique<BackendEntry>();
  entry->name = config.name();
  const backend::SecretUse use = kind->secret ? kind->secret(config) : backend::SecretUse();
  if (use.secret != nullptr) {
    StatusOr<Secret> secret = MakeSecret(*use.secret, config_dir);
    if (!secret.ok() && secrets == Secrets::kRequired) {
      return WithContext(WithPath(secret.status(), *use.secret, config_dir), fmt::format("backend {}", config.name()));
    }
    if (!secret.ok()) {
      entry->secret_problem = MessageOf(secret.status());
    } else {
      if (!secret->warning().empty()) spdlog::warn("backend {}: {}", config.name(), secret->warning());
      entry->secret = *std::move(secret);
    }
    entry->secret_origin = OriginOf(use.url);
    entry->secret_source = SourceOf(*use.secret);
  }
  if (const auto use = kind->aws ? kind->aws(config) : std::nullopt) {
    const Status aws = CheckAwsCredentials(MachineAwsSystem(), use->profile);
    if (!aws.ok() && secrets == Secrets::kRequired) return WithContext(aws, fmt::format("backend {}", config.name()));
    if (!aws.ok()) entry->secret_problem = MessageOf(aws);
  }
  entry->backend = kind->make(config);
  for (const std::string& warning : entry->backend->manifest().warnings) {
    spdlog::warn("backend {}: {}", config.name(), warning);
  }
  return entry;
}

// Reads the certificates that backends trust instead of the machine's, by origin. Backends of one origin trust those of
// all of them.
StatusOr<std::map<std::string, std::string>> ReadRoots(const backend::BackendKinds& kinds,
                                                       const v1::ServerConfig& config, const std::string& config_dir) {
  std::map<std::string, std::string> roots;
  for (const v1::BackendConfig& backend : config.backends()) {
    const backend::BackendKind* kind = kinds.Of(backend);
    const auto use = kind != nullptr && kind->trust ? kind->trust(backend) : std::nullopt;
    if (!use) continue;
    const StatusOr<std::string> pem = ReadCertificates((fs::path(config_dir) / use->ca_file).string());
    if (!pem.ok()) return WithContext(pem.status(), fmt::format("backend {}: ca_file", backend.name()));
    roots[OriginOf(use->url)] += *pem + "\n";
  }
  return roots;
}

// Returns what traces say about the process that they come from, besides the name of the service.
otlp::Pairs OriginOfTraces(Random& random) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return {{"service.version", kVersion},
          {"service.instance.id", random.Name(12)},
          {"telemetry.sdk.name", "millrace"},
          {"telemetry.sdk.language", "cpp"},
          {"telemetry.sdk.version", kVersion},
          {"host.name", IsUtf8(host.data()) ? host.data() : ""},
          {"process.pid", std::to_string(::getpid())}};
}

class CoordinatorImpl final : public Coordinator {
 public:
  explicit CoordinatorImpl(CoordinatorOptions options)
      : options_(std::move(options)),
        start_(clock_.Now()),
        loop_(clock_),
        pool_(MakeThreadPool(loop_, std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, 8))),
        slow_pool_(MakeThreadPool(loop_, kSlowThreads)),
        checks_pool_(MakeThreadPool(loop_, kCheckThreads)),
        files_({options_.config.files().read().begin(), options_.config.files().read().end()},
               {options_.config.files().write().begin(), options_.config.files().write().end()},
               OwnFiles(options_.config, options_.config_path, options_.config_dir)),
        stages_(BuiltinStages()) {}

  ~CoordinatorImpl() override {
    if (server_) server_->Shutdown();
    if (thread_.joinable()) {
      loop_.Stop();
      thread_.join();
    }
    // Spans of what is abandoned end below; they are dropped.
    if (exporter_) exporter_->Stop(kTracesPatience);
    // The client's idle connections must close before the loop destroys the context that they run on.
    rpc_.reset();
    http_.reset();
    // Destroys suspended coroutines while everything that they refer to still exists.
    loop_.Abandon();
    // Waits for what its threads compute now: exchanges and probes, which read their backends.
    pool_.reset();
    slow_pool_.reset();
    checks_pool_.reset();
  }

  StatusOr<std::vector<std::unique_ptr<BackendEntry>>> MakeBackends() {
    std::vector<std::unique_ptr<BackendEntry>> backends;
    std::map<std::string, std::shared_ptr<AwsSigner>> signers;  // by profile
    for (const v1::BackendConfig& backend : options_.config.backends()) {
      MR_ASSIGN_OR_RETURN(std::unique_ptr<BackendEntry> entry,
                          MakeBackend(options_.kinds, backend, options_.config_dir, options_.secrets));
      lacks_secrets_ = lacks_secrets_ || !entry->secret_problem.empty();
      const backend::BackendKind& kind = *options_.kinds.Of(backend);
      if (const auto use = kind.aws ? kind.aws(backend) : std::nullopt) {
        std::shared_ptr<AwsSigner>& signer = signers[use->profile];
        if (signer == nullptr) {
          AwsSources sources{.loop = loop_, .pool = *pool_, .http = *http_, .system = MachineAwsSystem()};
          signer = std::make_shared<AwsSigner>(std::move(sources), use->profile);
        }
        entry->aws = signer;
        entry->secret_origin = OriginOf(use->url);
      }
      backends.push_back(std::move(entry));
    }
    return backends;
  }

  Status Build() {
    const v1::ServerConfig& config = options_.config;
    RaiseDescriptorLimit();
    RocksOptions store_options;
    store_options.path = config.data_dir();
    store_options.durability = MakeDurability(config.durability());
    store_options.disk_reserve = config.limits().disk_reserve();
    const DescriptorShares shares = DivideDescriptors(DescriptorLimit());
    store_options.open_files_max = static_cast<int>(shares.tables);
    for (const std::string& warning : FindDescriptorNeeds(config, DescriptorLimit())) spdlog::warn("{}", warning);
    StatusOr<std::unique_ptr<Store>> store = OpenRocksStore(store_options, loop_, *pool_);
    // Only the user who starts the server reads this message, so it may name the path.
    if (!store.ok()) return WithContext(store.status(), Excerpt(config.data_dir(), 256));
    store_ = *std::move(store);
    BeastClientOptions http_options;
    http_options.connections_max = static_cast<int>(std::max<int64_t>(1, shares.outgoing));
    http_ = MakeBeastClient(loop_, *pool_, http_options);
    GrpcClientOptions rpc_options;
    rpc_options.response_bytes_max = static_cast<size_t>(config.limits().max_response_bytes());
    MR_ASSIGN_OR_RETURN(rpc_options.roots, ReadRoots(options_.kinds, config, options_.config_dir));
    rpc_ = MakeGrpcClient(loop_, *http_, std::move(rpc_options));

    MR_ASSIGN_OR_RETURN(auto backends, MakeBackends());
    Random random = Random::FromSystem();
    CallDeps call_deps{.loop = loop_, .pool = *pool_, .store = *store_, .http = *rpc_, .slow_pool = slow_pool_.get()};
    MR_ASSIGN_OR_RETURN(calls_, MakeCalls(call_deps, random.Fork(), std::move(backends), config));

    traced_calls_.emplace(*calls_);
    MR_RETURN_IF_ERROR(StartTracing(random));

    EngineOptions engine_options;
    engine_options.version = kVersion;
    engine_options.pid = ::getpid();
    engine_options.data_dir = fs::path(config.data_dir()).filename().string();
    engine_options.durability = DurabilityText(store_options.durability);
    engine_options.starts_runs = options_.starts_runs;
    engine_options.starts_max = kStartsMax;
    engine_options.active_runs_max = config.limits().max_active_runs();
    engine_options.item_bytes_max = static_cast<size_t>(config.limits().max_item_bytes());
    engine_options.open_file = OpenFileSource;
    engine_options.parameters_name_files = options_.parameters_name_files;
    engine_ = std::make_unique<Engine>(EngineDeps{.loop = loop_,
                                                  .pool = *pool_,
                                                  .store = *store_,
                                                  .calls = *traced_calls_,
                                                  .models = *calls_,
                                                  .answers = *calls_,
                                                  .traffic = *calls_,
                                                  .stages = stages_,
                                                  .files = files_,
                                                  .cpu_time = ThreadCpuTime,
                                                  .tracer = tracer_.get(),
                                                  .slow_pool = slow_pool_.get(),
                                                  .checks_pool = checks_pool_.get()},
                                       random.Fork(), std::move(engine_options));

    MR_ASSIGN_OR_RETURN(std::vector<api::Listener> listeners, Listen());
    thread_ = std::thread([this] {
      NameThread("engine");
      loop_.Run();
    });
    api::ServerOptions server_options;
    server_options.max_message_bytes = config.limits().max_message_bytes();
    server_options.max_connections = config.limits().max_connections();
    server_options.tracer = tracer_.get();
    MR_ASSIGN_OR_RETURN(server_, api::Server::Start(loop_, engine_->apis(), std::move(listeners), server_options));
    MR_RETURN_IF_ERROR(OnLoop([this](std::promise<Status>& done) { return Recover(done); }));
    server_->SetServing();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - start_);
    spdlog::info("serving on {}{} {} ms after the start; durability {}",
                 options_.listen_tcp ? BoundAddress(config.grpc().address(), port_) + " and " : "",
                 "the data directory's socket", took.count(), DurabilityText(store_options.durability));
    return absl::OkStatus();
  }

  bool lacks_secrets() const override { return lacks_secrets_; }
  int64_t connections() const override { return server_->Figures().open; }
  void StopListening() override { server_->StopListening(); }

  int64_t Drain(Duration patience) override {
    server_->SetNotServing();
    const TimePoint deadline = clock_.Now() + patience;
    CallTraffic::Unfinished left;
    const Status status =
        OnLoop([this, deadline, &left](std::promise<Status>& done) { return DrainEngine(done, deadline, left); });
    if (!status.ok()) spdlog::warn("draining: {}", MessageOf(status));
    if (left.calls > 0) {
      spdlog::warn("{} calls had no answer after {} s: the next start asks again, and they may be billed twice",
                   left.calls, std::chrono::duration_cast<std::chrono::seconds>(patience).count());
    }
    if (left.answers > 0) {
      spdlog::error("{} received answers could not be stored: the next start asks again and pays again", left.answers);
    }
    // Clients get the answers that the engine has finished, because they may be paid for. Those of the calls that it
    // has given up do not come.
    server_->AwaitAnswers(kAnswersPatience, left.calls > 0 ? api::Answers::kMade : api::Answers::kAll);
    server_->Shutdown();
    return left.answers;
  }

  std::string socket_path() const override {
    return (fs::path(options_.config.data_dir()) / api::kSocketName).string();
  }
  int port() const override { return port_; }

 private:
  // Listens on the data directory's socket, and on the configured address if clients may come by it.
  StatusOr<std::vector<api::Listener>> Listen() {
    const v1::ServerConfig& config = options_.config;
    std::vector<api::Listener> listeners;
    MR_ASSIGN_OR_RETURN(api::Listener unix_listener, api::Listener::Unix(config.data_dir()));
    listeners.push_back(std::move(unix_listener));
    if (!options_.listen_tcp) return listeners;
    for (const std::string& problem : FolderProblems(config)) spdlog::warn("{}", problem);
    StatusOr<api::Listener> tcp = api::Listener::Tcp(config.grpc().address());
    if (!tcp.ok()) return WithListener(tcp.status(), config.grpc().address());
    port_ = tcp->port();
    listeners.push_back(*std::move(tcp));
    return listeners;
  }

  // Makes the tracer and its exporter, if traces are wanted.
  Status StartTracing(Random& random) {
    MR_ASSIGN_OR_RETURN(otlp::Settings settings, otlp::MakeSettings(options_.config.tracing(), otlp::ProcessEnvironment,
                                                                    OriginOfTraces(random)));
    for (const std::string& warning : settings.warnings) spdlog::warn("traces: {}", warning);
    if (!settings.is_on) return absl::OkStatus();
    MR_ASSIGN_OR_RETURN(std::unique_ptr<otlp::Transport> transport,
                        otlp::MakeGrpcTransport(settings.endpoint, kVersion));
    exporter_ = std::make_unique<otlp::Exporter>(clock_, random.Fork(), std::move(transport), settings.batch,
                                                 std::move(settings.resource), kVersion);
    tracer_ = std::make_unique<trace::Recorder>(clock_, random.Fork(), *exporter_, settings.recorder);
    spdlog::info("traces are sent to {}", settings.endpoint.target);
    return absl::OkStatus();
  }

  // Starts a coroutine on the engine thread and waits for the status that it promises.
  template <typename Start>
  Status OnLoop(Start start) {
    std::promise<Status> done;
    std::future<Status> result = done.get_future();
    loop_.Post([this, &start, &done] { loop_.Spawn(start(done)); });
    return result.get();
  }

  Task<void> Recover(std::promise<Status>& done) {
    Status status = co_await engine_->Recover();
    done.set_value(std::move(status));
  }

  Task<void> DrainEngine(std::promise<Status>& done, TimePoint deadline, CallTraffic::Unfinished& left) {
    co_await engine_->Drain(deadline);
    left = calls_->FindUnfinished();
    done.set_value(absl::OkStatus());
  }

  const CoordinatorOptions options_;
  SystemClock clock_;
  const TimePoint start_;
  Loop loop_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Pool> slow_pool_;    // for work that may take long
  std::unique_ptr<Pool> checks_pool_;  // for checks of definitions
  FileRoots files_;
  StageRegistry stages_;
  std::unique_ptr<otlp::Exporter> exporter_;  // null: traces are off
  std::unique_ptr<trace::Tracer> tracer_;     // null: traces are off
  std::unique_ptr<Store> store_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<HttpClient> rpc_;  // sends RPCs, and by `http_` all other requests
  std::unique_ptr<Calls> calls_;
  std::optional<TracedCalls> traced_calls_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<api::Server> server_;
  std::thread thread_;
  int port_ = 0;
  bool lacks_secrets_ = false;
};

}  // namespace

Status CheckBackends(const v1::ServerConfig& config, const std::string& config_dir,
                     const backend::BackendKinds& kinds) {
  for (const v1::BackendConfig& backend : config.backends()) {
    MR_RETURN_IF_ERROR(MakeBackend(kinds, backend, config_dir, Secrets::kRequired).status());
  }
  return ReadRoots(kinds, config, config_dir).status();
}

Status CheckTracing(const v1::ServerConfig& config) {
  MR_ASSIGN_OR_RETURN(const otlp::Settings settings, otlp::MakeSettings(config.tracing(), otlp::ProcessEnvironment));
  return settings.is_on ? otlp::MakeGrpcTransport(settings.endpoint, kVersion).status() : absl::OkStatus();
}

StatusOr<v1::ServerConfig> LoadServerConfig(const std::string& path) {
  MR_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kConfigMibMax));
  const fs::path folder = fs::path(path).parent_path();
  return ReadServerConfig(
      text, path, [&folder](std::string_view name) { return ReadTextFile((folder / name).string(), kConfigMibMax); },
      backend::BuiltinBackends());
}

StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(CoordinatorOptions options) {
  auto coordinator = std::make_unique<CoordinatorImpl>(std::move(options));
  if (Status status = coordinator->Build(); !status.ok()) return status;
  return coordinator;
}

}  // namespace millrace
