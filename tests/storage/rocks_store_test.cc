// Tests of the parts that only a store on disk has: settings, a directory, other processes, restarts.
#include "server/storage/rocks_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/cache.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/options_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "server/base/random.h"
#include "server/storage/families.h"
#include "server/storage/items.h"
#include "server/storage/keys.h"
#include "server/storage/records.h"
#include "server/storage/rocks_settings.h"
#include "server/storage/value_codec.h"
#include "tests/storage/rocks_life.h"
#include "tests/storage/store_files.h"

namespace millrace {
namespace {

using testing::HasSubstr;

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
