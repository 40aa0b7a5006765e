// Program that holds a store and writes numbers to it until it is killed, for tests of the state after a kill.
//
// Usage: store_writer DIRECTORY sync|interval|process. Prints `open` and then each number that was acknowledged.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "server/storage/rocks_store.h"
#include "tests/storage/numbers.h"

namespace millrace {
namespace {

void Print(const std::string& line) {
  // One write call, so that a line is printed completely or not at all.
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(1);
}

Task<void> WriteNumbers(Store& store, int& next) {
  while (true) {
    const int number = next++;
    WriteBatch batch;
    PutNumber(batch, number, std::string(200, 'x'));
    if (!(co_await store.Commit(std::move(batch))).ok()) _exit(1);
    Print(std::to_string(number) + "\n");
  }
}

int Main(const std::string& path, std::string_view mode) {
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 2);
  Durability durability;
  if (mode == "interval") durability = {.mode = Durability::Mode::kInterval, .interval = std::chrono::milliseconds(5)};
  if (mode == "process") durability.mode = Durability::Mode::kProcess;
  StatusOr<std::unique_ptr<Store>> store =
      OpenRocksStore({.path = path, .durability = durability, .disk_reserve = 0}, loop, *pool);
  if (!store.ok()) {
    std::fprintf(stderr, "%s\n", std::string(MessageOf(store.status())).c_str());
    return 1;
  }
  Print("open\n");
  int next = 0;
  for (int i = 0; i < 8; ++i) loop.Spawn(WriteNumbers(**store, next));
  loop.Run();
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) { return argc == 3 ? millrace::Main(argv[1], argv[2]) : 2; }
