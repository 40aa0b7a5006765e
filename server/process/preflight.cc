#include "server/process/preflight.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "server/api/listener.h"
#include "server/base/fd.h"
#include "server/process/coordinator.h"
#include "server/process/port_holder.h"
#include "server/storage/data_dir.h"

namespace millrace {
namespace {

constexpr size_t kPathMax = 256;

std::string Shown(const std::string& path) { return fmt::format("`{}`", Excerpt(path, kPathMax)); }

std::string Mib(int64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

// Directories that were made to try a path; the destructor removes them.
class MadeDirectories {
 public:
  ~MadeDirectories() {
    for (auto made = made_.rbegin(); made != made_.rend(); ++made) ::rmdir(made->c_str());
  }

  // Makes the directory and its parents. Returns false with errno if that fails.
  bool Make(const std::string& path) {
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
      const std::string part = path.substr(0, slash);
      if (::mkdir(part.c_str(), 0700) == 0) {
        made_.push_back(part);
      } else if (errno != EEXIST) {
        return false;
      }
      if (slash == std::string::npos) return true;
    }
  }

 private:
  std::vector<std::string> made_;
};

// Returns the process that has a lock on the file, as /proc/locks (proc(5)) lists them. Taking the lock to find out
// could keep a server from starting at that moment.
std::optional<std::string> LockHolder(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) return std::nullopt;
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
  std::ifstream locks("/proc/locks");
  std::string line;
  while (std::getline(locks, line)) {
    std::istringstream fields(line);
    std::string number, family, mode, access, pid, inode;
    fields >> number >> family >> mode >> access >> pid >> inode;
    if (family == "FLOCK" && inode == wanted) return pid;
  }
  return std::nullopt;
}

void CheckDataDir(const v1::ServerConfig& config, std::vector<std::string>& problems) {
  const std::string& path = config.data_dir();
  const auto wrong = [&](std::string_view what) {
    problems.push_back(fmt::format("data_dir {}: {}", Shown(path), what));
  };
  MadeDirectories made;
  struct stat info {};
  if (!made.Make(path) || ::stat(path.c_str(), &info) != 0) {
    return wrong(fmt::format("it can't be made: {}", std::strerror(errno)));
  }
  if (!S_ISDIR(info.st_mode)) return wrong("it is not a directory");
  const std::string probe = fmt::format("{}/.check-{}", path, ::getpid());
  const UniqueFd file(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return wrong(fmt::format("no file can be made in it: {}", std::strerror(errno)));
  ::unlink(probe.c_str());
  if (const Status store = DataDir::Check(path); !store.ok()) return wrong(MessageOf(store));
  if (::stat(fmt::format("{}/{}", path, api::kSocketName).c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    return wrong(fmt::format("{} in it is not a socket", api::kSocketName));
  }
  if (const auto pid = LockHolder(path + "/holder")) wrong(fmt::format("the store is held by process {}", *pid));
  struct statvfs disk {};
  const int64_t reserve = config.limits().disk_reserve();
  if (::fstatvfs(file.get(), &disk) != 0) return;
  const auto block = static_cast<int64_t>(disk.f_frsize);
  const int64_t free = static_cast<int64_t>(disk.f_bavail) * block;
  if (free >= reserve) return;
  problems.push_back(
      fmt::format("limits.disk_reserve: {} of {} are free on the disk of data_dir, less than the reserve of "
                  "{}: the server would begin no work",
                  Mib(free), Mib(static_cast<int64_t>(disk.f_blocks) * block), Mib(reserve)));
}

std::string FolderProblem(const std::string& path, int access) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? "it does not exist" : fmt::format("it can't be used: {}", std::strerror(errno));
  }
  if (!S_ISDIR(info.st_mode)) return "it is not a directory";
  if (::access(path.c_str(), access | X_OK) == 0) return "";
  return fmt::format("it can't be {}: {}", access == R_OK ? "read" : "written", std::strerror(errno));
}

void CheckAddress(const v1::ServerConfig& config, std::vector<std::string>& problems) {
  const Status status = api::Listener::Tcp(config.grpc().address()).status();
  if (!status.ok()) problems.emplace_back(MessageOf(WithListener(status, config.grpc().address())));
}

}  // namespace

std::vector<std::string> FolderProblems(const v1::ServerConfig& config) {
  std::vector<std::string> problems;
  const auto check = [&problems](const auto& folders, std::string_view setting, int access) {
    for (int i = 0; i < folders.size(); ++i) {
      const std::string what = FolderProblem(folders[i], access);
      if (!what.empty()) problems.push_back(fmt::format("files.{}[{}] {}: {}", setting, i, Shown(folders[i]), what));
    }
  };
  check(config.files().read(), "read", R_OK);
  check(config.files().write(), "write", W_OK);
  return problems;
}

std::vector<std::string> CheckStart(const v1::ServerConfig& config, const std::string& config_dir,
                                    const backend::BackendKinds& kinds) {
  std::vector<std::string> problems;
  CheckDataDir(config, problems);
  for (std::string& problem : FolderProblems(config)) problems.push_back(std::move(problem));
  CheckAddress(config, problems);
  for (const v1::BackendConfig& backend : config.backends()) {
    v1::ServerConfig one;
    *one.add_backends() = backend;
    if (const Status status = CheckBackends(one, config_dir, kinds); !status.ok()) {
      problems.emplace_back(MessageOf(status));
    }
  }
  if (const Status status = CheckTracing(config); !status.ok()) {
    problems.push_back(fmt::format("tracing: {}", MessageOf(status)));
  }
  return problems;
}

}  // namespace millrace
