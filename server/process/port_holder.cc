#include "server/process/port_holder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "server/config/address.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

// Returns the inodes of the sockets that listen on the port, as /proc/net/tcp (proc(5)) lists them.
std::set<std::string> SocketsOn(int port, const char* table) {
  constexpr std::string_view kListening = "0A";
  const std::string wanted = fmt::format(":{:04X}", port);
  std::set<std::string> inodes;
  std::ifstream file(table);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, queues, timer, retries, user, timeout, inode;
    fields >> number >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >> inode;
    if (state == kListening && local.ends_with(wanted)) inodes.insert(fmt::format("socket:[{}]", inode));
  }
  return inodes;
}

bool HasAny(const fs::path& process, const std::set<std::string>& sockets) {
  std::error_code error;
  for (fs::directory_iterator at(process / "fd", error), end; !error && at != end; at.increment(error)) {
    std::error_code no_link;
    if (sockets.contains(fs::read_symlink(at->path(), no_link).string())) return true;
  }
  return false;
}

}  // namespace

std::string ListenerOn(int port) {
  std::set<std::string> sockets = SocketsOn(port, "/proc/net/tcp");
  sockets.merge(SocketsOn(port, "/proc/net/tcp6"));
  if (sockets.empty()) return "";
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::string pid = at->path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos || !HasAny(at->path(), sockets)) continue;
    std::ifstream comm(at->path() / "comm");
    std::string name;
    std::getline(comm, name);
    return fmt::format("process {} ({})", pid, Excerpt(name));
  }
  return "";
}

Status WithListener(const Status& error, const std::string& address) {
  const std::optional<HostPort> parsed = ParseHostPort(address);
  const std::string holder = parsed ? ListenerOn(parsed->port) : "";
  if (holder.empty()) return error;
  return MakeError(ReasonOf(error), fmt::format("{}: {} listens there", MessageOf(error), holder));
}

}  // namespace millrace
