// File system for RocksDB that injects faults and simulates power losses: of each file the synced bytes remain, and a
// random part of the others. Nothing is synced to the disk, which the simulated losses do not need. Any thread.
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

  // Makes the n-th operation from now that changes something (1: the next) fail; later ones work again. `kNever`: none.
  static constexpr uint64_t kNever = ~uint64_t{0};
  void FailAt(uint64_t n, Fault fault);
  // Makes the n-th operation and all later ones fail, as after a power loss.
  void DieAt(uint64_t n);
  // Makes every operation that needs room fail while `full`.
  void SetFull(bool full);
  // Returns the number of operations since the last FailAt or DieAt.
  uint64_t operations() const;
  // Returns true if the fault of the last FailAt or DieAt has happened.
  bool struck() const;

  // Changes the files as a power loss may: a random part of the bytes that were not synced remains, and in half of the
  // cases one of them is wrong. REQUIRES: nobody uses the files any more.
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
    bool entry_synced = false;  // the directory was synced after the file was made
  };

  // Counts an operation and returns the error that it must have.
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
