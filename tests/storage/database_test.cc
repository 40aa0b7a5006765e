#include "server/storage/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/file_system.h>

#include <atomic>

#include "tests/storage/temporary_directory.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::Optional;

// File system that counts the reads of tables.
class CountingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  CountingFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "millrace.CountingFileSystem"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSRandomAccessFile> opened;
    const rocksdb::IOStatus status = target()->NewRandomAccessFile(name, options, &opened, debug);
    if (status.ok()) *file = std::make_unique<CountedFile>(std::move(opened), reads);
    return status;
  }

  std::atomic<int> reads{0};

 private:
  class CountedFile final : public rocksdb::FSRandomAccessFileOwnerWrapper {
   public:
    CountedFile(std::unique_ptr<rocksdb::FSRandomAccessFile>&& file, std::atomic<int>& reads)
        : FSRandomAccessFileOwnerWrapper(std::move(file)), reads_(reads) {}

    rocksdb::IOStatus Read(uint64_t offset, size_t n, const rocksdb::IOOptions& options, rocksdb::Slice* result,
                           char* scratch, rocksdb::IODebugContext* debug) const override {
      ++reads_;
      return FSRandomAccessFileOwnerWrapper::Read(offset, n, options, result, scratch, debug);
    }
    rocksdb::IOStatus MultiRead(rocksdb::FSReadRequest* requests, size_t count, const rocksdb::IOOptions& options,
                                rocksdb::IODebugContext* debug) override {
      ++reads_;
      return FSRandomAccessFileOwnerWrapper::MultiRead(requests, count, options, debug);
    }
    rocksdb::IOStatus Prefetch(uint64_t offset, size_t n, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
      ++reads_;
      return FSRandomAccessFileOwnerWrapper::Prefetch(offset, n, options, debug);
    }

   private:
    std::atomic<int>& reads_;
  };
};

TEST(DatabaseTest, AReadFromMemoryReadsNoFile) {
  const TemporaryDirectory directory;
  {
    const auto database = Database::Open({.path = directory.path(), .create = true});
    ASSERT_TRUE(database.ok()) << database.status();
    std::vector<WriteBatch> batches(1);
    for (int i = 0; i < 1000; ++i) batches.front().Put("key-" + std::to_string(i), std::string(100, 'v'));
    ASSERT_TRUE((*database)->Write(batches, Database::Sync::kYes).ok());
  }  // writes a table
  const auto files = std::make_shared<CountingFileSystem>();
  const auto database = Database::Open({.path = directory.path(), .file_system = files});
  ASSERT_TRUE(database.ok()) << database.status();

  const int opened = files->reads;
  EXPECT_EQ((*database)->MultiGetFromMemory({"key-7"}), std::nullopt);
  EXPECT_EQ(files->reads, opened);

  // A block that was read from the disk stays in memory; a key that a filter excludes needs no block.
  EXPECT_TRUE((*database)->MultiGet({"key-7"}).front().ok());
  const int once = files->reads;
  EXPECT_GT(once, opened);
  EXPECT_THAT((*database)->MultiGetFromMemory({"key-7", "key-500x"}),
              Optional(ElementsAre(Optional(std::string(100, 'v')), std::nullopt)));

  std::vector<WriteBatch> batches(1);
  batches.front().Put("new", "1");
  batches.front().Delete("key-7");
  ASSERT_TRUE((*database)->Write(batches, Database::Sync::kNo).ok());
  EXPECT_THAT((*database)->MultiGetFromMemory({"new", "key-7"}),
              Optional(ElementsAre(Optional(std::string("1")), std::nullopt)));
  EXPECT_EQ(files->reads, once);
}

}  // namespace
}  // namespace millrace
