#include "client/lib/holder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "server/config/server_config.h"
#include "server/process/coordinator.h"

namespace millrace::client {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kHeldPatience(3);
constexpr std::chrono::milliseconds kHeldPause(20);
constexpr int kKnockPatienceMs = 1000;
constexpr std::chrono::milliseconds kStayPause(5);
constexpr std::chrono::seconds kStayUntold(1);
constexpr char kSocket[] = "millrace.sock";
constexpr char kDefaultConfig[] = "millrace.yaml";

std::string SocketOf(int directory_fd) { return fmt::format("/proc/self/fd/{}/{}", directory_fd, kSocket); }

// Connects to the process that listens there and waits until it accepts. -1: none.
int Knock(int directory_fd) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = SocketOf(directory_fd);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  // The server speaks first. A server that has just stopped listening closes the connection instead.
  pollfd speaks{.fd = fd, .events = POLLIN, .revents = 0};
  char byte = 0;
  if (connected && ::poll(&speaks, 1, kKnockPatienceMs) > 0) connected = ::recv(fd, &byte, 1, MSG_PEEK) > 0;
  if (connected) return fd;
  ::close(fd);
  return -1;
}

// Reads the configuration of a path; the empty path has the built-in one.
StatusOr<v1::ServerConfig> ConfigAt(const std::string& path) {
  return path.empty() ? BuiltinServerConfig() : LoadServerConfig(path);
}

}  // namespace

std::string ConfigPath(const std::string& given) {
  std::error_code error;
  if (!given.empty()) return given;
  return fs::exists(kDefaultConfig, error) ? std::string(kDefaultConfig) : std::string();
}

StatusOr<std::string> DataDirOf(const std::string& given, const std::string& config_path) {
  if (!given.empty()) return given;
  MR_ASSIGN_OR_RETURN(const v1::ServerConfig config, ConfigAt(ConfigPath(config_path)));
  return config.data_dir();
}

Holder::Holder() = default;

Holder::~Holder() {
  coordinator_.reset();
  if (presence_fd_ >= 0) ::close(presence_fd_);
  if (directory_fd_ >= 0) ::close(directory_fd_);
}

void Holder::StayForOthers(const std::function<bool()>& leave, const std::function<void()>& waiting) {
  if (!coordinator_) return;
  const auto begin = std::chrono::steady_clock::now();
  bool told = false;
  const auto wait = [&] {
    while (!leave() && coordinator_->connections() > 0) {
      std::this_thread::sleep_for(kStayPause);
      if (told || std::chrono::steady_clock::now() - begin < kStayUntold) continue;
      waiting();
      told = true;
    }
  };
  wait();
  // Serve also clients that connected before listening stopped.
  coordinator_->StopListening();
  wait();
}

void Holder::KeepToItself() {
  if (coordinator_ && coordinator_->lacks_secrets()) coordinator_->StopListening();
}

int64_t Holder::Drain(Duration patience) { return coordinator_ ? coordinator_->Drain(patience) : 0; }

StatusOr<std::unique_ptr<Holder>> Holder::Open(const std::string& data_dir, const std::string& config_path,
                                               Secrets secrets) {
  MR_ASSIGN_OR_RETURN(const std::string directory, DataDirOf(data_dir, config_path));
  // A process that has just opened the store does not listen yet, and one that has answered its last client has not
  // released the store yet: both leave neither a socket nor a free store for a moment.
  const auto patience = std::chrono::steady_clock::now() + kHeldPatience;
  while (true) {
    StatusOr<std::unique_ptr<Holder>> holder = TryOpen(directory, config_path, secrets);
    if (holder.ok() || ReasonOf(holder.status()) != Reason::kStoreHeld) return holder;
    if (std::chrono::steady_clock::now() >= patience) return holder;
    std::this_thread::sleep_for(kHeldPause);
  }
}

std::unique_ptr<Holder> Holder::Attach(const std::string& data_dir) {
  std::unique_ptr<Holder> holder(new Holder);
  holder->directory_fd_ = ::open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (holder->directory_fd_ >= 0) holder->presence_fd_ = Knock(holder->directory_fd_);
  if (holder->presence_fd_ < 0) return nullptr;
  holder->target_ = fmt::format("unix:{}", SocketOf(holder->directory_fd_));
  holder->description_ = fmt::format("{} is held by another process: using its socket", data_dir);
  return holder;
}

StatusOr<std::unique_ptr<Holder>> Holder::TryOpen(const std::string& data_dir, const std::string& config_path,
                                                  Secrets secrets) {
  if (std::unique_ptr<Holder> attached = Attach(data_dir)) {
    if (!config_path.empty()) attached->description_ += fmt::format(" and its configuration, not {}", config_path);
    return attached;
  }

  const std::string path = ConfigPath(config_path);
  StatusOr<v1::ServerConfig> config = ConfigAt(path);
  if (!config.ok()) return config.status();
  config->set_data_dir(data_dir);
  if (config->files().read().empty()) config->mutable_files()->add_read(".");
  if (config->files().write().empty()) config->mutable_files()->add_write(".");
  std::unique_ptr<Holder> holder(new Holder);
  CoordinatorOptions options;
  options.config = *std::move(config);
  options.config_dir =
      path.empty() || fs::path(path).parent_path().empty() ? "." : fs::path(path).parent_path().string();
  options.config_path = path;
  options.parameters_name_files = true;
  options.listen_tcp = false;
  options.starts_runs = false;
  options.secrets = secrets;
  StatusOr<std::unique_ptr<Coordinator>> coordinator = Coordinator::Start(std::move(options));
  if (ReasonOf(coordinator.status()) == Reason::kStoreUnavailable) {
    // The named directory can't be used. Do not report an unreachable server, because none was involved.
    return MakeError(Reason::kDataDirUnusable, MessageOf(coordinator.status()));
  }
  if (!coordinator.ok()) return coordinator.status();
  holder->coordinator_ = *std::move(coordinator);
  holder->directory_fd_ = ::open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (holder->directory_fd_ < 0) {
    return MakeError(Reason::kFileError, fmt::format("{}: {}", data_dir, std::strerror(errno)));
  }
  holder->target_ = fmt::format("unix:{}", SocketOf(holder->directory_fd_));
  holder->description_ =
      fmt::format("{} is held by this command, {}", data_dir,
                  path.empty() ? "with the built-in configuration" : fmt::format("configured by {}", path));
  return holder;
}

}  // namespace millrace::client
