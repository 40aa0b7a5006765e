// A file system for RocksDB that fails when told to, and knows what a power loss would leave behind: of every file what
// was synced, and a random part of what was not. Any thread.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/base/random.h"

namespace millrace {

class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  enum class Fault { kInputOutput, kNoSpace };

  FaultFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "millrace.FaultFileSystem"; }

  // The n-th operation from now that changes something (1: the next) fails, and those behind it work again. `kNever`:
  // none.
  static constexpr uint64_t kNever = ~uint64_t{0};
  void FailAt(uint64_t n, Fault fault);
  // From the n-th operation on everything fails: the power went.
  void DieAt(uint64_t n);
  // A full disk: every operation that needs room fails, until it is emptied.
  void SetFull(bool full);
  // Operations since the last FailAt or DieAt; whether the fault struck.
  uint64_t operations() const;
  bool struck() const;

  // What a power loss does to the files; nobody may use them any more. Of the bytes that were not synced a random part
  // is left, and half the time one of them is wrong.
  void LosePower(Random& random);

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  friend class FaultFile;
  friend class FaultDirectory;
  struct File {
    uint64_t written = 0;
    uint64_t synced = 0;
    bool entry_synced = false;  // its directory was synced since it was made
  };

  // Counts an operation; the error that it shall end with.
  rocksdb::IOStatus Begin(bool needs_room);
  void Appended(const std::string& name, uint64_t bytes);
  void Synced(const std::string& name);
  void DirectorySynced();

  mutable std::mutex mutex_;
  uint64_t operations_ = 0;
  uint64_t fail_at_ = kNever;
  uint64_t die_at_ = kNever;
  Fault fault_ = Fault::kInputOutput;
  bool full_ = false;
  bool struck_ = false;
  std::map<std::string, File> files_;
};

}  // namespace millrace
