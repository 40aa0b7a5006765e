// Tests with a disk that is really full: a file system of 40 MiB in memory, mounted in a separate namespace.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "server/base/fd.h"
#include "server/storage/disk_guard.h"
#include "tests/storage/rocks_life.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""s;

Task<bool> Leave(Store& store, StoreState state) {
  co_await store.WaitForChange(state);
  co_return true;
}

// Grows a file, as another program may, until at most `free_bytes` are left on the disk.
void Grow(const std::string& ballast, int64_t free_bytes) {
  const UniqueFd fd(open(ballast.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd);
  const std::string block(1 << 20, 'x');
  SystemDiskSpace disk;
  for (int64_t free = 0; (free = disk.FreeBytes(ballast)) > free_bytes;) {
    const auto size = static_cast<size_t>(std::min<int64_t>(free - free_bytes, 1 << 20));
    if (write(fd.get(), block.data(), size) <= 0) break;  // the store has used the rest
  }
}

void FillAndEmpty(const std::string& disk, Durability::Mode mode) {
  const std::string ballast = disk + "/ballast";
  Grow(ballast, 24 << 20);
  const RocksOptions options{.path = disk + "/store", .durability = {.mode = mode}, .disk_reserve = 8 << 20};
  std::set<int> acked;
  {
    RocksLife life(options);
    ASSERT_TRUE(life.status().ok()) << life.status();
    int next = 0;
    // Each number is written into every family.
    acked.merge(life.Write(next, 600, 10, 2'000, 1));
    next += 600;
    EXPECT_EQ(life.store().state(), StoreState::kOk);

    Grow(ballast, 7 << 20);
    RunTask(life.loop(), Leave(life.store(), StoreState::kOk));
    EXPECT_EQ(life.store().state(), StoreState::kDiskLow);

    // Compactions of the store may free space again, because values of one letter compress well.
    while (life.store().state() != StoreState::kReopening) {
      Grow(ballast, 0);
      acked.merge(life.Write(next, 20, 10, 2'000, 1));
      next += 20;
      ASSERT_LT(next, 10'000);
    }
    EXPECT_GT(acked.size(), 500u);
    EXPECT_EQ(life.Missing(acked), 0);  // reads still work

    std::filesystem::remove(ballast);
    const TimePoint emptied = SystemClock().Now();
    RunTask(life.loop(), Leave(life.store(), StoreState::kReopening));
    EXPECT_LT(SystemClock().Now() - emptied, 10s);
    EXPECT_EQ(life.Missing(acked), 0);
    acked.merge(life.Write(next, 100, 10, 2'000));
    EXPECT_TRUE(acked.contains(next + 99));
  }
  RocksLife life(options);
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_EQ(life.Missing(acked), 0);
}

TEST(SmallDiskTest, AFullDiskLosesNothingAcknowledgedAndTheStoreComesBackByItself) {
  if (const char* disk = std::getenv("MILLRACE_SMALL_DISK"); disk != nullptr) {
    // RocksDB's log is in a different state in each mode when a write fails.
    for (const auto mode : {Durability::Mode::kSync, Durability::Mode::kInterval, Durability::Mode::kProcess}) {
      FillAndEmpty(disk, mode);
      std::filesystem::remove_all(std::string(disk) + "/store");
    }
    return;
  }
  TemporaryDirectory directory;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string script =
      "mount -t tmpfs -o size=40m none \"$1\" || exit 77; export MILLRACE_SMALL_DISK=\"$1\"; "
      "exec \"$2\" --gtest_brief=1 --gtest_filter=SmallDiskTest.*";
  const pid_t child = fork();
  if (child == 0) {
    execlp("unshare", "unshare", "-Urm", "sh", "-c", script.c_str(), "sh", directory.path().c_str(), self.c_str(),
           nullptr);
    _exit(77);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  const bool in_the_namespace = WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1;
  // Code 1 is also that of `unshare` itself if it is not permitted.
  if (!in_the_namespace || (WEXITSTATUS(status) == 1 && std::system("unshare -Urm true 2>/dev/null") != 0)) {
    GTEST_SKIP() << "This system does not let an ordinary user mount a small disk (unshare -Urm, mount -t tmpfs).";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace millrace
