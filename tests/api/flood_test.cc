// Attacks that gRPC 1.51 does not survive without help: floods of connections, of headers, and of reset streams.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fstream>

#include "tests/api/served.h"

// Defined only under the address sanitizer: returns freed memory to the system, which the sanitizer keeps to find uses
// after free.
extern "C" void __sanitizer_purge_allocator() __attribute__((weak));

namespace millrace {
namespace {

std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string frame{static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size),
                    static_cast<char>(type), static_cast<char>(flags)};
  for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(stream >> shift));
  return frame + payload;
}

std::string Literal(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
}

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(4, 0, 0, "");

std::string RequestHeaders() {
  return Literal(":method", "POST") + Literal(":scheme", "http") + Literal(":authority", "x") +
         Literal(":path", "/millrace.v1.AdminService/GetStatus") + Literal("content-type", "application/grpc") +
         Literal("te", "trailers");
}

bool SendAll(int fd, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
  }
  return true;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

size_t ResidentMegabytes() {
  if (__sanitizer_purge_allocator != nullptr) __sanitizer_purge_allocator();
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * 4096 >> 20;
}

// A server limited to 256 descriptors gets 400 connections and must answer afterwards.
TEST(FloodTest, TheListenerOutlivesAFloodOfConnections) {
  int to_parent[2];
  int to_child[2];
  ASSERT_EQ(pipe(to_parent), 0);
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(to_parent[1], 98);
    dup2(to_child[0], 99);
    for (const int fd : {to_parent[0], to_parent[1], to_child[0], to_child[1]}) close(fd);
    execl(MILLRACE_FLOOD_SERVER, "flood_server", nullptr);
    _exit(127);
  }
  UniqueFd from_child(to_parent[0]);
  UniqueFd to(to_child[1]);
  close(to_parent[1]);
  close(to_child[0]);
  int port = 0;
  ASSERT_EQ(read(from_child.get(), &port, sizeof port), static_cast<ssize_t>(sizeof port));
  {
    std::vector<UniqueFd> flood;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 400; ++i) {
      UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) SendAll(fd.get(), kPreface);
      flood.push_back(std::move(fd));
    }
    // The child checks its state while all of them are open.
    ASSERT_EQ(write(to.get(), "x", 1), 1);
    char done = 0;
    EXPECT_EQ(read(from_child.get(), &done, 1), 1);
  }
  to.Reset();
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Below the caps, but without a descriptor for accept().
TEST(FloodTest, TheListenerOutlivesAnEmptyDescriptorTable) {
  Served served;
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  std::vector<UniqueFd> hoard;
  const rlimit low{200, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  while (true) {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) break;
    hoard.push_back(std::move(fd));
  }
  for (UniqueFd& client : clients) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(served.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    char byte = 0;
    EXPECT_LE(recv(client.get(), &byte, 1, 0), 0) << "refused, not left hanging";
  }
  // The last connection is counted only after it was closed.
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (served.server->Figures().refused < 4 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  EXPECT_EQ(served.server->Figures().refused, 4);
  hoard.clear();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(served.Answers());
}

TEST(FloodTest, EndlessHeadersAreCut) {
  Served served;
  const UniqueFd fd = served.OpenSocket();
  ASSERT_TRUE(fd);
  const double before = CpuSeconds();
  // A literal header whose value claims 64 MB, in CONTINUATION frames.
  const std::string block = RequestHeaders() + std::string(1, '\0') + std::string(1, 1) + "x" + "\x7f\x81\xff\xff\x1e";
  bool alive = SendAll(fd.get(), kPreface + Frame(1, 0, 1, block));
  const std::string piece = Frame(9, 0, 1, std::string(16384, 'a'));
  size_t sent = 0;
  for (; alive && sent < (32u << 20); sent += piece.size()) alive = SendAll(fd.get(), piece);
  EXPECT_FALSE(alive) << "32 MB of headers were taken";
  EXPECT_TRUE(served.Answers());
  EXPECT_EQ(served.server->Figures().cut, 1);
  printf("headers without end: %zu KB had been sent, %.2f s of CPU\n", sent >> 10, CpuSeconds() - before);
  EXPECT_LT(CpuSeconds() - before, 2.0);
}

// Streams that are reset at once: the connection is cut before gRPC has accepted many.
void ExpectResetsAreCut(const std::string& greeting) {
  Served served;
  const UniqueFd fd = served.OpenSocket();
  ASSERT_TRUE(fd);
  const double cpu_before = CpuSeconds();
  const size_t memory_before = ResidentMegabytes();
  bool alive = SendAll(fd.get(), greeting);
  std::string burst;
  for (uint32_t i = 0; i < 50000 && alive; ++i) {
    const uint32_t stream = 2 * i + 1;
    burst += Frame(1, 4, stream, RequestHeaders()) + Frame(3, 0, stream, std::string("\0\0\0\x08", 4));
    if (burst.size() > (1 << 16)) {
      alive = SendAll(fd.get(), burst);
      burst.clear();
    }
  }
  EXPECT_FALSE(alive);
  EXPECT_TRUE(served.Answers());
  const size_t memory = ResidentMegabytes();
  printf("streams reset at once: %.2f s of CPU, %zu MB -> %zu MB\n", CpuSeconds() - cpu_before, memory_before, memory);
  EXPECT_LT(memory, memory_before + 150);
  EXPECT_EQ(served.server->Figures().cut, 1);
}

TEST(FloodTest, StreamsResetAtOnceAreCut) { ExpectResetsAreCut(kPreface + Frame(4, 1, 0, "")); }

// Without the acknowledgement of its settings, gRPC enforces no limit of concurrent streams.
TEST(FloodTest, StreamsOfAClientThatIgnoresOurSettingsAreCut) { ExpectResetsAreCut(kPreface); }

}  // namespace
}  // namespace millrace
