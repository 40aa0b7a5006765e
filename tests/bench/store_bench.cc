// Measures the store on disk: commits and reads per second, one and many at a time, beside the disk's own fdatasync;
// the time of opening after a clean close and after a kill; memory at a million items.
//
// Usage: store_bench [DIRECTORY]   (on the disk to be measured; default: the system's temporary directory)
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "server/base/random.h"
#include "server/storage/keys.h"
#include "server/storage/rocks_store.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using std::chrono_literals::operator""s;

constexpr Duration kMeasured = 3s;
constexpr int kInFlight = 256;
constexpr int kItems = 1'000'000;

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// Returns the CPU time of all threads so far, on which other programs have little influence.
double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * time.tv_usec; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string ValueOf(Random& random, size_t bytes) {
  std::string value;
  while (value.size() < bytes) value += random.Name(16);
  return value;
}

// Returns the median duration of the disk's fdatasync after an append of 1 KiB.
Duration MeasureSync(const std::string& directory) {
  const std::string path = directory + "/sync";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string bytes(1024, 'x');
  const SystemClock clock;
  std::vector<Duration> took;
  for (int i = 0; i < 300; ++i) {
    const TimePoint begun = clock.Now();
    if (write(file, bytes.data(), bytes.size()) < 0 || fdatasync(file) != 0) std::abort();
    took.push_back(clock.Now() - begun);
  }
  close(file);
  fs::remove(path);
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  return took[took.size() / 2];
}

// A store with its loop and pool.
struct Opened {
  Opened(const std::string& path, Durability durability) {
    const TimePoint begun = clock.Now();
    const double cpu = CpuSeconds();
    StatusOr<std::unique_ptr<Store>> result =
        OpenRocksStore({.path = path, .durability = durability, .disk_reserve = 0}, loop, *pool);
    opening = clock.Now() - begun;
    opening_cpu = CpuSeconds() - cpu;
    if (!result.ok()) {
      fmt::print(stderr, "{}\n", MessageOf(result.status()));
      std::exit(1);
    }
    store = *std::move(result);
  }

  SystemClock clock;
  Loop loop{clock};
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 2);
  std::unique_ptr<Store> store;
  Duration opening{};
  double opening_cpu = 0;
};

struct Work {
  Opened& opened;
  TimePoint end = {};
  int limit = 0;  // number of operations; 0: until `end`
  size_t bytes = 1024;
  int batch = 1;  // values in one batch
  int begun = 0;
  int done = 0;
  int running = 0;
  Random random{1};
};

std::string KeyOf(int number) { return KeyBuilder(Table::kItem).Text("run").Text("stage").Number(number); }

bool MoreToDo(Work& work) { return work.limit > 0 ? work.begun < work.limit : work.opened.loop.Now() < work.end; }

Task<void> Commit(Work& work) {
  while (MoreToDo(work)) {
    WriteBatch batch;
    for (int i = 0; i < work.batch; ++i) {
      const std::string key = KeyOf(work.begun++);
      batch.Put(key, EncodeValue(key, ValueOf(work.random, work.bytes)));
    }
    if (!(co_await work.opened.store->Commit(std::move(batch))).ok()) std::abort();
    ++work.done;
  }
  if (--work.running == 0) work.opened.loop.Stop();
}

Task<void> Read(Work& work, int keys) {
  while (MoreToDo(work)) {
    const auto value = co_await work.opened.store->Get(KeyOf(static_cast<int>(work.random.Below(keys))));
    if (!value.ok() || !value->has_value()) std::abort();
    ++work.done;
  }
  if (--work.running == 0) work.opened.loop.Stop();
}

struct Rate {
  double per_second;
  double cpu_micros;  // CPU time of one operation, all threads
};

template <typename F>
Rate Measure(Opened& opened, int in_flight, F start) {
  Work work{.opened = opened, .end = opened.loop.Now() + kMeasured};
  work.running = in_flight;
  const TimePoint begun = opened.loop.Now();
  const double cpu = CpuSeconds();
  for (int i = 0; i < in_flight; ++i) opened.loop.Spawn(start(work));
  opened.loop.Run();
  return {.per_second = work.done / Seconds(opened.loop.Now() - begun),
          .cpu_micros = 1e6 * (CpuSeconds() - cpu) / work.done};
}

void Print(std::string_view what, const Rate& alone, const Rate& many) {
  fmt::print("{}: one by one {:.0f}/s ({:.1f} us of CPU each), {} at once {:.0f}/s ({:.1f} us), ratio {:.1f}\n", what,
             alone.per_second, alone.cpu_micros, kInFlight, many.per_second, many.cpu_micros,
             many.per_second / alone.per_second);
}

void MeasureCommits(const std::string& directory, std::string_view name, Durability durability) {
  const auto start = [](Work& work) { return Commit(work); };
  Rate rates[2];
  Duration sync[2];
  for (int i = 0; i < 2; ++i) {
    fs::remove_all(directory + "/store");
    Opened opened(directory + "/store", durability);
    rates[i] = Measure(opened, i == 0 ? 1 : kInFlight, start);
    sync[i] = opened.store->Figures().sync_p50;
  }
  Print(fmt::format("commits of 1 KiB, {}", name), rates[0], rates[1]);
  if (sync[0] > Duration(0)) {
    fmt::print("  median sync {:.2f} and {:.2f} ms\n", 1000 * Seconds(sync[0]), 1000 * Seconds(sync[1]));
  }
}

void Fill(Opened& opened, int items, size_t bytes) {
  Work work{.opened = opened, .limit = items, .bytes = bytes, .batch = 20};
  work.running = kInFlight;
  for (int i = 0; i < kInFlight; ++i) opened.loop.Spawn(Commit(work));
  opened.loop.Run();
}

void MeasureReads(const std::string& directory) {
  constexpr int kKeys = 100'000;
  fs::remove_all(directory + "/store");
  const Durability process{.mode = Durability::Mode::kProcess};
  {
    Opened opened(directory + "/store", process);
    Fill(opened, kKeys, 300);
    // A copy of the open store is the state that a killed process leaves.
    fs::copy(directory + "/store", directory + "/killed");
  }
  {
    Opened opened(directory + "/store", process);
    const auto start = [](Work& work) { return Read(work, kKeys); };
    const Rate alone = Measure(opened, 1, start);
    const Rate many = Measure(opened, kInFlight, start);
    Print(fmt::format("gets of {} values of 300 bytes", kKeys), alone, many);
    fmt::print("opening the same store: closed cleanly {:.0f} ms ({:.0f} ms of CPU)\n", 1000 * Seconds(opened.opening),
               1000 * opened.opening_cpu);
  }
  const Opened killed(directory + "/killed", process);
  fmt::print("opening the same store: killed {:.0f} ms ({:.0f} ms of CPU)\n", 1000 * Seconds(killed.opening),
             1000 * killed.opening_cpu);
}

void MeasureMemory(const std::string& directory) {
  fs::remove_all(directory + "/store");
  Opened opened(directory + "/store", {.mode = Durability::Mode::kProcess});
  Fill(opened, kItems, 300);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{} items of 300 bytes: at most {} MiB of memory\n", kItems, usage.ru_maxrss / 1024);
}

int Main(const std::string& base) {
  std::string directory = base + "/store-bench-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) {
    fmt::print(stderr, "{} can't be written\n", base);
    return 1;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  fmt::print("the disk: fdatasync behind an append of 1 KiB: p50 {:.2f} ms\n", 1000 * Seconds(MeasureSync(directory)));
  MeasureCommits(directory, "sync", {});
  MeasureCommits(directory, "interval", {.mode = Durability::Mode::kInterval});
  MeasureCommits(directory, "process", {.mode = Durability::Mode::kProcess});
  MeasureReads(directory);
  MeasureMemory(directory);
  fs::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  return millrace::Main(argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string());
}
