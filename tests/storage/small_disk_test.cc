// A disk that is really full: a file system in memory of 40 MiB, mounted in a namespace of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/storage/rocks_life.h"

namespace millrace {
namespace {

using std::chrono_literals::operator""s;

Task<bool> Leave(Store& store, StoreState state) {
  co_await store.WaitForChange(state);
  co_return true;
}

void FillAndEmpty(const std::string& disk, Durability::Mode mode) {
  const std::string ballast = disk + "/ballast";
  std::ofstream(ballast) << std::string(20 << 20, 'x');
  const RocksOptions options{.path = disk + "/store", .durability = {.mode = mode}, .disk_reserve = 8 << 20};
  std::set<int> acked;
  {
    RocksLife life(options);
    ASSERT_TRUE(life.status().ok()) << life.status();
    bool was_low = false;
    int next = 0;
    while (life.store().state() != StoreState::kReopening) {
      was_low = was_low || life.store().state() == StoreState::kDiskLow;
      acked.merge(life.Write(next, 20, 10, 10'000, 1));
      next += 20;
      ASSERT_LT(next, 10'000);
    }
    EXPECT_TRUE(was_low);
    EXPECT_GT(acked.size(), 500u);
    EXPECT_EQ(life.Missing(acked), 0);  // it is still read from

    std::filesystem::remove(ballast);
    const TimePoint emptied = SystemClock().Now();
    RunTask(life.loop(), Leave(life.store(), StoreState::kReopening));
    EXPECT_LT(SystemClock().Now() - emptied, 10s);
    EXPECT_EQ(life.Missing(acked), 0);
    acked.merge(life.Write(next, 100, 10, 10'000));
    EXPECT_TRUE(acked.contains(next + 99));
  }
  RocksLife life(options);
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_EQ(life.Missing(acked), 0);
}

TEST(SmallDiskTest, AFullDiskLosesNothingAcknowledgedAndTheStoreComesBackByItself) {
  if (const char* disk = std::getenv("MILLRACE_SMALL_DISK"); disk != nullptr) {
    // Each mode leaves RocksDB's log in another condition when it fails.
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
  // 1 is also what `unshare` itself ends with where it may not.
  if (!in_the_namespace || (WEXITSTATUS(status) == 1 && std::system("unshare -Urm true 2>/dev/null") != 0)) {
    GTEST_SKIP() << "This system does not let an ordinary user mount a small disk (unshare -Urm, mount -t tmpfs).";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace millrace
