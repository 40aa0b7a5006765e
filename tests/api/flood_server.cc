// The server of FloodTest, a process that is limited to 256 descriptors. It writes its port to descriptor 98. When it
// reads a byte from 99, it checks its state and writes a byte; when 99 is closed, it calls itself. Exit status 0: all
// checks passed.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

#include <cstdio>

#include "tests/api/served.h"

int main() {
  using namespace millrace;
  const auto must = [](bool fact, const char* what) {
    if (fact) return;
    fprintf(stderr, "flood_server: %s\n", what);
    _exit(1);
  };
  const rlimit limit{256, 256};
  must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
  Served served;
  char byte = 0;
  must(write(98, &served.port, sizeof served.port) == sizeof served.port, "pipe");
  must(read(99, &byte, 1) == 1, "pipe");
  // Connections that are not accepted yet still wait in the listener's queue.
  for (int looks = 0; served.server->Figures().refused == 0 && looks < 1000; ++looks) poll(nullptr, 0, 10);
  must(served.server->Figures().refused > 0, "no connection was refused");
  {
    std::vector<UniqueFd> files;
    for (int i = 0; i < 32; ++i) files.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    must(static_cast<bool>(files.back()), "no descriptor is left for files and backends while the flood lasts");
  }
  must(write(98, &byte, 1) == 1, "pipe");
  must(read(99, &byte, 1) == 0, "pipe");
  must(served.Answers(), "no answer after the flood");
  return 0;
}
