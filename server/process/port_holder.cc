#include "server/process/port_holder.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "server/config/address.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

// Returns an address as /proc/net/tcp and tcp6 write it: words of 32 bits in hexadecimal, in the machine's byte order.
std::string HexOf(const std::string& host) {
  in_addr address{};
  if (::inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host.c_str(), &address) == 1) {
    return fmt::format("{:08X}", address.s_addr);
  }
  in6_addr address6{};
  if (::inet_pton(AF_INET6, host.c_str(), &address6) != 1) return "";
  std::string hex;
  for (const uint32_t word : address6.s6_addr32) hex += fmt::format("{:08X}", word);
  return hex;
}

// Returns true if a socket that listens at `local` keeps another from listening at `hex` on the same port: it is the
// same address or a wildcard. That of IPv4 leaves the addresses of IPv6 free.
bool IsInTheWay(std::string_view local, const std::string& hex) {
  const bool is_any = local.find_first_not_of('0') == std::string_view::npos;
  return is_any ? local.size() >= hex.size() : local == hex;
}

// Returns the inodes of the sockets that listen on the port, as /proc/net/tcp (proc(5)) lists them.
std::set<std::string> SocketsOn(const std::string& hex, int port, const char* table) {
  constexpr std::string_view kListening = "0A";
  const std::string wanted = fmt::format(":{:04X}", port);
  std::set<std::string> inodes;
  std::ifstream file(table);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, queues, timer, retries, user, timeout, inode;
    fields >> number >> local >> remote >> state >> queues >> timer >> retries >> user >> timeout >> inode;
    if (state != kListening || !local.ends_with(wanted)) continue;
    if (IsInTheWay(local.substr(0, local.size() - wanted.size()), hex)) {
      inodes.insert(fmt::format("socket:[{}]", inode));
    }
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

std::string ListenerOn(const std::string& host, int port) {
  const std::string hex = HexOf(host);
  std::set<std::string> sockets = SocketsOn(hex, port, "/proc/net/tcp");
  sockets.merge(SocketsOn(hex, port, "/proc/net/tcp6"));
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
  // Other errors, such as that of a forbidden port, are nobody's fault.
  const bool is_taken = MessageOf(error).find(std::strerror(EADDRINUSE)) != std::string_view::npos;
  const std::string holder = parsed && is_taken ? ListenerOn(parsed->host, parsed->port) : "";
  if (holder.empty()) return error;
  return MakeError(ReasonOf(error), fmt::format("{}: {} listens there", MessageOf(error), holder));
}

}  // namespace millrace
