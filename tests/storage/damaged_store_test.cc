// Damage to the files of a store: it is reported, never repaired in silence, and what is whole is still read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "server/base/random.h"
#include "server/storage/records.h"
#include "tests/storage/rocks_life.h"
#include "tests/storage/store_files.h"

namespace millrace {
namespace {

using testing::HasSubstr;

TEST(DamagedStoreTest, ADamagedBlockIsReportedAndOtherReadsWork) {
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

TEST(DamagedStoreTest, ADamagedLogIsNamedAndTheStoreDoesNotOpen) {
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

TEST(DamagedStoreTest, ALogThatWasCutIsRefusedAndWhatIsLeftIsReadIfAPersonSaysSo) {
  TemporaryDirectory directory;
  WriteAndKill(directory.path());
  const fs::path log = FilesEndingIn(directory.path(), ".log").back();
  Random random(1);
  const std::string bytes = ReadFile(log);
  // Opening a store replays and deletes its log, so each cut is made in a copy.
  for (int i = 0; i < 20; ++i) {
    TemporaryDirectory copy;
    fs::copy(directory.path(), copy.path(), fs::copy_options::recursive);
    // The kill may have torn the last records, which nobody got acknowledged.
    fs::resize_file(fs::path(copy.path()) / log.filename(), random.Below(bytes.size() * 9 / 10));
    {
      const RocksLife refused(At(copy.path()));
      ASSERT_EQ(ReasonOf(refused.status()), Reason::kStoreCorrupt) << refused.status();
      EXPECT_THAT(std::string(MessageOf(refused.status())),
                  testing::AllOf(testing::ContainsRegex("lost its last [0-9]+ changes of [0-9]+"), HasSubstr("(*.log)"),
                                 HasSubstr("delete its file `reached`")));
    }
    fs::remove(copy.path() + "/reached");
    RocksLife life(At(copy.path()));
    ASSERT_TRUE(life.status().ok()) << life.status();
    const std::set<int> found = life.Found();
    // Eight writers commit in the order of their numbers.
    ASSERT_EQ(found.empty() ? -1 : *found.rbegin(), static_cast<int>(found.size()) - 1);
  }
}

TEST(DamagedStoreTest, ATornLastRecordIsAccepted) {
  TemporaryDirectory directory;
  WriteAndKill(directory.path());
  // The beginning of a record, as a kill leaves it.
  std::ofstream(FilesEndingIn(directory.path(), ".log").back(), std::ios::binary | std::ios::app)
      << std::string("\x01\x02\x03\x04\xff\x0f\x01half", 11);
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_GE(life.Found().size(), 2000u);
}

TEST(DamagedStoreTest, ADeletedLogIsRefusedAndTheStoreIsWholeOnceItIsBack) {
  TemporaryDirectory directory;
  TemporaryDirectory away;
  WriteAndKill(directory.path());
  const std::vector<fs::path> logs = FilesEndingIn(directory.path(), ".log");
  for (const fs::path& log : logs) fs::rename(log, fs::path(away.path()) / log.filename());
  for (int i = 0; i < 3; ++i) {
    const RocksLife refused(At(directory.path()));
    ASSERT_EQ(ReasonOf(refused.status()), Reason::kStoreCorrupt) << refused.status();
    EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("write-ahead log"));
    EXPECT_TRUE(FilesEndingIn(directory.path(), ".log").empty());
  }
  for (const fs::path& log : logs) fs::rename(fs::path(away.path()) / log.filename(), log);
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_GE(life.Found().size(), 2000u);
}

TEST(DamagedStoreTest, AfterAPowerLossOnlyWhatWasSyncedIsMissed) {
  TemporaryDirectory directory;
  WriteAndKill(directory.path());  // in mode `process`, which syncs nothing
  for (const fs::path& log : FilesEndingIn(directory.path(), ".log")) fs::remove(log);
  RocksOptions rebooted = At(directory.path());
  rebooted.boot_id = "another";
  // The format of the store is its first change, and the only one that was synced.
  EXPECT_THAT(std::string(MessageOf(RocksLife(rebooted).status())), HasSubstr("lost its last 1 changes of 1:"));
  fs::remove(directory.path() + "/reached");
  EXPECT_TRUE(RocksLife(rebooted).status().ok());

  TemporaryDirectory synced;
  {
    WriterProcess writer(synced.path(), "sync");
    while (writer.Line() != "20") {
    }
  }
  for (const fs::path& log : FilesEndingIn(synced.path(), ".log")) fs::remove(log);
  rebooted.path = synced.path();
  EXPECT_EQ(ReasonOf(RocksLife(rebooted).status()), Reason::kStoreCorrupt);
}

TEST(DamagedStoreTest, AClosedStoreNeedsNoLog) {
  TemporaryDirectory directory;
  {
    RocksLife life(At(directory.path()));
    life.Write(0, 100, 10);
  }
  for (const fs::path& log : FilesEndingIn(directory.path(), ".log")) fs::remove(log);
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_EQ(life.Found().size(), 100u);
}

TEST(DamagedStoreTest, AMarkerThatCanNotBeUnderstoodIsRefused) {
  TemporaryDirectory directory;
  {
    RocksLife life(At(directory.path()));
    life.Write(0, 100, 10);
  }
  const std::string text = ReadFile(directory.path() + "/reached");
  EXPECT_EQ(text.size(), 3u * 29u);
  for (const std::string& damaged : {std::string(), text.substr(1), text + "x", "written one\n" + text}) {
    WriteFile(directory.path() + "/reached", damaged);
    const RocksLife life(At(directory.path()));
    ASSERT_EQ(ReasonOf(life.status()), Reason::kStoreCorrupt) << life.status();
    EXPECT_THAT(std::string(MessageOf(life.status())), HasSubstr("`reached` is damaged"));
  }
  fs::remove(directory.path() + "/reached");
  EXPECT_TRUE(RocksLife(At(directory.path())).status().ok());
  EXPECT_EQ(ReadFile(directory.path() + "/reached").size(), text.size());
}

TEST(DamagedStoreTest, AfterAPowerLossADamagedEndOfTheLogIsIgnored) {
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

TEST(DamagedStoreTest, ADamagedOrMissingManifestIsRefused) {
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

TEST(DamagedStoreTest, NeverStartsEmptyIfFilesAreMissing) {
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

TEST(DamagedStoreTest, AStoreWhoseCreationWasInterruptedIsCreatedAgain) {
  TemporaryDirectory directory;
  WriteFile(directory.path() + "/MANIFEST-000001", "half");
  WriteFile(directory.path() + "/000001.dbtmp", "MANI");
  RocksLife life(At(directory.path()));
  ASSERT_TRUE(life.status().ok()) << life.status();
  EXPECT_TRUE(life.Put("a", "1").ok());
}

// Checks the settings on which durability depends, as RocksDB's own file of options has them.

}  // namespace
}  // namespace millrace
