// Tests of the parts that only a store on disk has: settings, a directory, other processes, damage, restarts.
#include "server/storage/rocks_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/cache.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/options_util.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "server/base/random.h"
#include "server/storage/families.h"
#include "server/storage/items.h"
#include "server/storage/keys.h"
#include "server/storage/records.h"
#include "server/storage/rocks_settings.h"
#include "server/storage/value_codec.h"
#include "tests/storage/rocks_life.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

RocksOptions At(const std::string& path) { return {.path = path, .disk_reserve = 0}; }

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Returns the files of a directory for which `is` returns true.
template <typename F>
std::vector<fs::path> Files(const std::string& directory, F is) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (is(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> FilesEndingIn(const std::string& directory, const std::string& extension) {
  return Files(directory, [&](const fs::path& file) { return file.extension() == extension; });
}

void FlipByte(const fs::path& path, size_t at) {
  std::string bytes = ReadFile(path);
  ASSERT_LT(at, bytes.size());
  bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
  WriteFile(path, bytes);
}

// Process that writes to a store (store_writer), with its output.
class WriterProcess {
 public:
  WriterProcess(const std::string& path, const std::string& mode) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      execl(MILLRACE_STORE_WRITER, "store_writer", path.c_str(), mode.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }
  ~WriterProcess() {
    Kill();
    fclose(output_);
  }

  pid_t pid() const { return pid_; }
  // Returns the next line of its output; empty at the end.
  std::string Line() {
    char line[1024];
    if (fgets(line, sizeof(line), output_) == nullptr) return "";
    return std::string(line, strcspn(line, "\n"));
  }
  void Kill() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
  FILE* output_;
};

// Returns the rows of a stage as a scan finds them.
std::vector<std::string> RowsOf(RocksLife& life, const ItemKeys& keys) {
  auto [begin, end] = keys.Items();
  const StatusOr<ScanPage> page = RunTask(life.loop(), life.store().Scan(begin, end, 1000, 1 << 20));
  EXPECT_TRUE(page.ok()) << page.status();
  std::vector<std::string> rows;
  if (page.ok()) {
    for (const StoreEntry& entry : page->entries) rows.push_back(entry.value);
  }
  return rows;
}

TEST(RocksStoreTest, RowsThatAreDeletedAndWrittenAgainExistOnce) {
  const TemporaryDirectory directory;
  const ItemKeys keys("r-1", "told");
  std::vector<std::string> expected;
  {
    RocksLife life(At(directory.path()));
    ASSERT_TRUE(life.status().ok()) << life.status();
    for (const std::string round : {"first", "second", "third"}) {
      WriteBatch back;
      keys.DeleteAll(back);
      ASSERT_TRUE(RunTask(life.loop(), life.store().Commit(std::move(back), CommitMode::kDurable)).ok());
      EXPECT_THAT(RowsOf(life, keys), testing::IsEmpty());
      expected.clear();
      for (int i = 0; i < 20; ++i) {
        expected.push_back(round + std::to_string(i));
        ASSERT_TRUE(life.Put(keys.Item(i), expected.back()).ok());
      }
      EXPECT_EQ(RowsOf(life, keys), expected);
    }
  }
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_EQ(RowsOf(life, keys), expected);
}

TEST(RocksStoreTest, KeepsEverythingOverACleanRestart) {
  TemporaryDirectory directory;
  std::set<int> acked;
  {
    RocksLife life(At(directory.path()));
    acked = life.Write(0, 1000, 50);
  }
  for (const fs::path& log : FilesEndingIn(directory.path(), ".log")) EXPECT_EQ(fs::file_size(log), 0u) << log;
  RocksLife life(At(directory.path()));
  EXPECT_EQ(life.Missing(acked), 0);
  EXPECT_EQ(acked.size(), 1000u);
}

TEST(RocksStoreTest, AKilledProcessLosesNothingAcknowledged) {
  Random random(1);
  for (const char* mode : {"sync", "interval", "process"}) {
    TemporaryDirectory directory;
    std::set<int> acked;
    for (int round = 0; round < 5; ++round) {
      std::set<int> of_round;
      {
        WriterProcess writer(directory.path(), mode);
        ASSERT_EQ(writer.Line(), "open");
        for (uint64_t lines = 1 + random.Below(3000); lines > 0; --lines) of_round.insert(std::stoi(writer.Line()));
        writer.Kill();
        for (std::string line = writer.Line(); !line.empty(); line = writer.Line()) of_round.insert(std::stoi(line));
      }
      RocksLife life(At(directory.path()));
      ASSERT_TRUE(life.status().ok()) << life.status();
      acked.merge(of_round);
      ASSERT_EQ(life.Missing(acked), 0) << mode << " " << round;
    }
  }
}

TEST(RocksStoreTest, ASecondProcessIsRefusedWithTheIdOfTheFirst) {
  TemporaryDirectory directory;
  {
    WriterProcess writer(directory.path(), "process");
    ASSERT_EQ(writer.Line(), "open");
    const RocksLife second(At(directory.path()));
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(second.status()), Reason::kStoreHeld);
    EXPECT_THAT(std::string(MessageOf(second.status())), HasSubstr("process " + std::to_string(writer.pid())));
    WriterProcess third(directory.path(), "process");
    EXPECT_THAT(third.Line(), HasSubstr("held by process " + std::to_string(writer.pid())));
  }
  // The holder was killed, and nothing needs to be removed by hand.
  EXPECT_TRUE(RocksLife(At(directory.path())).status().ok());
}

TEST(RocksStoreTest, ASecondStoreOfTheSameProcessIsRefused) {
  TemporaryDirectory directory;
  const RocksLife first(At(directory.path()));
  EXPECT_EQ(ReasonOf(RocksLife(At(directory.path())).status()), Reason::kStoreHeld);
}

TEST(RocksStoreTest, MakesAPrivateDirectory) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/a/b/store";
  ASSERT_TRUE(RocksLife(At(path)).status().ok());
  for (const std::string& made : {directory.path() + "/a", path}) {
    struct stat info {};
    ASSERT_EQ(stat(made.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
  }
}

TEST(RocksStoreTest, APathOfAFileIsRefused) {
  TemporaryDirectory directory;
  WriteFile(directory.path() + "/file", "x");
  const RocksLife life(At(directory.path() + "/file"));
  EXPECT_EQ(ReasonOf(life.status()), Reason::kStoreUnavailable) << life.status();
}

// Returns names, sizes and bytes of all files but `holder`, which every attempt to open the store changes.
std::string Snapshot(const std::string& directory) {
  std::string snapshot;
  for (const fs::path& file : Files(directory, [](const fs::path&) { return true; })) {
    snapshot += file.filename().string() + ":" + Digest::Of(ReadFile(file)).Hex() + "\n";
  }
  return snapshot;
}

TEST(RocksStoreTest, TheStoreOfAnotherReleaseIsRefusedUnchanged) {
  for (const auto& [format, message] : {std::pair("3\n", "a newer release"), std::pair("1\n", "an earlier release")}) {
    TemporaryDirectory directory;
    { RocksLife life(At(directory.path())); }
    WriteFile(directory.path() + "/format", format);
    const std::string before = Snapshot(directory.path());
    const RocksLife life(At(directory.path()));
    EXPECT_EQ(life.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(life.status()), Reason::kStoreVersion);
    EXPECT_THAT(std::string(MessageOf(life.status())), HasSubstr(message));
    EXPECT_EQ(Snapshot(directory.path()), before);
  }
}

TEST(RocksStoreTest, TheStoreHasItsFormatInsideToo) {
  TemporaryDirectory directory;
  const std::string key = KeyBuilder(Table::kMeta).Text("format");
  {
    RocksLife life(At(directory.path()));
    EXPECT_EQ(*DecodeValue(key, *life.Get(key).value()), "2");
    ASSERT_TRUE(life.Put(key, EncodeValue(key, "3")).ok());
  }
  const RocksLife life(At(directory.path()));
  EXPECT_EQ(life.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(MessageOf(life.status())), HasSubstr("newer release"));
}

TEST(RocksStoreTest, OpensAStoreOfItsFormatThatAnEarlierBuildWrote) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/v2";
  fs::copy("tests/storage/fixtures/v2", path);
  RocksLife life(At(path));
  ASSERT_TRUE(life.status().ok()) << life.status();
  const std::string small = KeyBuilder(Table::kPipeline).Text("news");
  EXPECT_EQ(*DecodeValue(small, *life.Get(small).value()), "a small value");
  const std::string large = KeyBuilder(Table::kItem).Text("run").Text("stage").Number(7);
  EXPECT_EQ(*DecodeValue(large, *life.Get(large).value()), std::string(5000, 'x'));
  const std::string deleted = KeyBuilder(Table::kItem).Text("run").Text("stage").Number(8);
  EXPECT_EQ(life.Get(deleted).value(), std::nullopt);
}

// Writes the fixture of the present release into the empty directory that MILLRACE_WRITE_FIXTURE names.
TEST(RocksStoreTest, WritesAFixtureIfAsked) {
  const char* path = std::getenv("MILLRACE_WRITE_FIXTURE");
  if (path == nullptr) GTEST_SKIP() << "MILLRACE_WRITE_FIXTURE does not name a directory.";
  {
    RocksLife life(At(path));
    for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
             {KeyBuilder(Table::kPipeline).Text("news"), "a small value"},
             {KeyBuilder(Table::kItem).Text("run").Text("stage").Number(7), std::string(5000, 'x')},
             {KeyBuilder(Table::kItem).Text("run").Text("stage").Number(8), "deleted below"}}) {
      ASSERT_TRUE(life.Put(key, EncodeValue(key, value)).ok());
    }
    WriteBatch batch;
    batch.Delete(KeyBuilder(Table::kItem).Text("run").Text("stage").Number(8));
    ASSERT_TRUE(RunTask(life.loop(), life.store().Commit(std::move(batch))).ok());
  }
  for (const fs::path& file : Files(path, [](const fs::path& f) { return f.filename().string().starts_with("LO"); })) {
    fs::remove(file);  // LOG and LOCK
  }
  WriteFile(std::string(path) + "/holder", "");
}

TEST(RocksStoreTest, ADamagedBlockIsReportedAndOtherReadsWork) {
  TemporaryDirectory directory;
  {
    RocksLife life(At(directory.path()));
    Random random(1);
    WriteBatch batch;
    for (int i = 0; i < 2000; ++i) {
      std::string value;
      for (int j = 0; j < 13; ++j) value += std::to_string(random.Next());
      batch.Put("key" + std::to_string(10'000 + i), value);
    }
    ASSERT_TRUE(RunTask(life.loop(), life.store().Commit(std::move(batch))).ok());
  }
  FlipByte(FilesEndingIn(directory.path(), ".sst").back(), 1000);
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  int damaged = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto value = life.Get("key" + std::to_string(10'000 + i));
    if (value.ok()) {
      EXPECT_TRUE(value->has_value()) << i;
    } else {
      ++damaged;
      EXPECT_EQ(value.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(ReasonOf(value.status()), Reason::kStoreCorrupt);
    }
  }
  EXPECT_GT(damaged, 0);
  EXPECT_LT(damaged, 200);
  std::vector<std::string> keys;
  for (int i = 0; i < 2000; ++i) keys.push_back("key" + std::to_string(10'000 + i));
  const auto remembered = RunTask(life.loop(), GetRemembered(life.store(), keys));
  ASSERT_TRUE(remembered.ok()) << remembered.status();
  EXPECT_EQ(remembered->lost.size(), static_cast<size_t>(damaged));
  EXPECT_EQ(std::count(remembered->values.begin(), remembered->values.end(), std::nullopt), damaged);
  EXPECT_GE(life.store().Figures().corrupt, 1u);
  EXPECT_EQ(life.store().state(), StoreState::kOk);
  EXPECT_TRUE(life.Put("after", "x").ok());
}

// Makes the directory of a killed process, whose log has data that no table has.
void WriteAndKill(const std::string& path) {
  WriterProcess writer(path, "process");
  while (writer.Line() != "2000") {
  }
}

TEST(RocksStoreTest, ADamagedLogIsNamedAndTheStoreDoesNotOpen) {
  TemporaryDirectory directory;
  WriteAndKill(directory.path());
  const std::vector<fs::path> logs = FilesEndingIn(directory.path(), ".log");
  const fs::path log = logs.back();
  const std::string bytes = ReadFile(log);
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    std::string damaged = bytes;
    // Damages the first 9/10 only: the kill may have torn the last record, which does not count as damage.
    damaged[random.Below(bytes.size() * 9 / 10)] ^= 0x40;
    WriteFile(log, damaged);
    const RocksLife life(At(directory.path()));
    ASSERT_EQ(life.status().code(), absl::StatusCode::kDataLoss) << life.status();
    EXPECT_THAT(std::string(MessageOf(life.status())), HasSubstr(log.filename().string()));
    EXPECT_THAT(std::string(MessageOf(life.status())), testing::Not(HasSubstr(directory.path())));
  }
  WriteFile(log, bytes);
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_GE(life.Found().size(), 2000u);
}

TEST(RocksStoreTest, ATornLogIsAccepted) {
  TemporaryDirectory directory;
  WriteAndKill(directory.path());
  const fs::path log = FilesEndingIn(directory.path(), ".log").back();
  Random random(1);
  const std::string bytes = ReadFile(log);
  // Opening a store replays and deletes its log, so each cut is made in a copy.
  for (int i = 0; i < 20; ++i) {
    TemporaryDirectory copy;
    fs::copy(directory.path(), copy.path(), fs::copy_options::recursive);
    fs::resize_file(fs::path(copy.path()) / log.filename(), random.Below(bytes.size()));
    RocksLife life(At(copy.path()));
    ASSERT_TRUE(life.status().ok()) << life.status();
    const std::set<int> found = life.Found();
    // Eight writers commit in the order of their numbers.
    ASSERT_EQ(found.empty() ? -1 : *found.rbegin(), static_cast<int>(found.size()) - 1);
  }
}

TEST(RocksStoreTest, AfterAPowerLossADamagedEndOfTheLogIsIgnored) {
  TemporaryDirectory directory;
  WriteAndKill(directory.path());
  FlipByte(FilesEndingIn(directory.path(), ".log").back(), 50'000);
  RocksOptions rebooted = At(directory.path());
  rebooted.boot_id = "another";
  RocksLife life(rebooted);
  ASSERT_TRUE(life.status().ok()) << life.status();
  const std::set<int> found = life.Found();
  EXPECT_GT(found.size(), 10u);
  EXPECT_EQ(*found.rbegin(), static_cast<int>(found.size()) - 1);
}

// The bytes that tell the lengths of the records of a log: 4 bytes of checksum, 2 of length, 1 of type, the record. One
// that is longer than the rest of the file is to RocksDB one that was being written when the machine stopped.
std::set<size_t> LengthsOfRecords(const std::string& log) {
  std::set<size_t> places;
  for (size_t at = 0; at + 7 <= log.size();) {
    places.insert({at + 4, at + 5});
    at += 7 + static_cast<uint8_t>(log[at + 4]) + (size_t{static_cast<uint8_t>(log[at + 5])} << 8);
  }
  return places;
}

TEST(RocksStoreTest, ADamagedOrMissingManifestIsRefused) {
  TemporaryDirectory directory;
  {
    RocksLife life(At(directory.path()));
    life.Write(0, 100, 10);
  }
  const auto is_manifest = [](const fs::path& file) { return file.filename().string().starts_with("MANIFEST"); };
  const fs::path manifest = Files(directory.path(), is_manifest).back();
  const std::string bytes = ReadFile(manifest);
  const std::set<size_t> lengths = LengthsOfRecords(bytes);
  for (size_t at = 0; at < bytes.size(); at += 7) {
    if (lengths.contains(at)) continue;
    std::string damaged = bytes;
    damaged[at] ^= 0x40;
    WriteFile(manifest, damaged);
    const RocksLife life(At(directory.path()));
    ASSERT_EQ(ReasonOf(life.status()), Reason::kStoreCorrupt) << at << " " << life.status();
    ASSERT_THAT(std::string(MessageOf(life.status())), HasSubstr("MANIFEST"));
  }
  fs::remove(manifest);
  EXPECT_FALSE(RocksLife(At(directory.path())).status().ok());
  EXPECT_FALSE(fs::exists(manifest));
  WriteFile(manifest, bytes);
  EXPECT_TRUE(RocksLife(At(directory.path())).status().ok());
}

TEST(RocksStoreTest, NeverStartsEmptyIfFilesAreMissing) {
  TemporaryDirectory directory;
  {
    RocksLife life(At(directory.path()));
    life.Write(0, 100, 10);
  }
  const fs::path table = FilesEndingIn(directory.path(), ".sst").back();
  fs::rename(table, directory.path() + "/away");
  const RocksLife without_table(At(directory.path()));
  EXPECT_EQ(ReasonOf(without_table.status()), Reason::kStoreCorrupt) << without_table.status();
  EXPECT_THAT(std::string(MessageOf(without_table.status())), HasSubstr(table.stem().string()));
  fs::rename(directory.path() + "/away", table);

  fs::rename(directory.path() + "/CURRENT", directory.path() + "/away");
  const RocksLife without_current(At(directory.path()));
  EXPECT_EQ(ReasonOf(without_current.status()), Reason::kStoreCorrupt) << without_current.status();
  EXPECT_THAT(std::string(MessageOf(without_current.status())), HasSubstr("CURRENT"));
  fs::rename(directory.path() + "/away", directory.path() + "/CURRENT");

  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_EQ(life.Found().size(), 100u);
}

TEST(RocksStoreTest, AStoreWhoseCreationWasInterruptedIsCreatedAgain) {
  TemporaryDirectory directory;
  WriteFile(directory.path() + "/MANIFEST-000001", "half");
  WriteFile(directory.path() + "/000001.dbtmp", "MANI");
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_TRUE(life.Put("a", "1").ok());
}

// Checks the settings on which durability depends, as RocksDB's own file of options has them.
TEST(RocksStoreTest, RunsWithTheSettingsThatItsPromisesNeed) {
  TemporaryDirectory directory;
  RocksOptions options = At(directory.path());
  options.boot_id = "first";
  { RocksLife life(options); }
  const auto used = [&] {
    rocksdb::DBOptions database;
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    const rocksdb::Status status =
        rocksdb::LoadLatestOptions(rocksdb::ConfigOptions(), directory.path(), &database, &families);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return std::pair(database, families);
  };
  {
    options.boot_id = "second";
    RocksLife life(options);
    const auto [database, families] = used();
    EXPECT_EQ(database.wal_recovery_mode, rocksdb::WALRecoveryMode::kPointInTimeRecovery);
    EXPECT_EQ(database.recycle_log_file_num, 0u);
    EXPECT_FALSE(database.manual_wal_flush);
    EXPECT_FALSE(database.best_efforts_recovery);
    EXPECT_TRUE(database.paranoid_checks);
    EXPECT_FALSE(database.avoid_flush_during_recovery);
    EXPECT_FALSE(database.unordered_write);
    EXPECT_FALSE(database.create_if_missing);
    EXPECT_FALSE(database.allow_mmap_writes);
    EXPECT_EQ(database.max_bgerror_resume_count, 0);
    EXPECT_EQ(database.max_total_wal_size, 64u << 20);
    EXPECT_EQ(families.size(), kFamilies);
    for (const auto& [name, family] : families) {
      EXPECT_EQ(family.write_buffer_size, 8u << 20) << name;
      EXPECT_EQ(family.target_file_size_base, 16u << 20) << name;
      EXPECT_EQ(family.max_write_buffer_number, 3) << name;
      EXPECT_FALSE(family.disable_auto_compactions) << name;
    }
  }
  {
    // The power was not lost since the last opening, so the log must be complete.
    RocksLife life(options);
    EXPECT_EQ(used().first.wal_recovery_mode, rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords);
  }
  EXPECT_TRUE(RocksReads().verify_checksums);
  EXPECT_EQ(kProtectionBytesPerKey, 8u);
  const rocksdb::Options settings = RocksSettings();
  const auto* table = settings.table_factory->GetOptions<rocksdb::BlockBasedTableOptions>();
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->block_cache->GetCapacity(), 32u << 20);
  EXPECT_TRUE(table->cache_index_and_filter_blocks);
  EXPECT_NE(table->filter_policy, nullptr);
}

}  // namespace
}  // namespace millrace
