#include "tests/storage/fault_file_system.h"

#include <filesystem>
#include <fstream>
#include <utility>

namespace millrace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class FaultFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultFile(FaultFileSystem& system, std::string name, std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), system_(system), name_(std::move(name)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus fault = system_.Begin(true); !fault.ok()) {
      // Writes a part before the error, as a disk does.
      const Slice part(data.data(), data.size() / 2);
      if (FSWritableFileOwnerWrapper::Append(part, options, debug).ok()) system_.Appended(name_, part.size());
      return fault;
    }
    IOStatus status = FSWritableFileOwnerWrapper::Append(data, options, debug);
    if (status.ok()) system_.Appended(name_, data.size());
    return status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    if (IOStatus fault = system_.Begin(false); !fault.ok()) return fault;
    IOStatus status = FSWritableFileOwnerWrapper::Flush(options, debug);
    if (status.ok()) system_.Synced(name_);
    return status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }

 private:
  FaultFileSystem& system_;
  const std::string name_;
};

class FaultDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  FaultDirectory(FaultFileSystem& system, std::unique_ptr<rocksdb::FSDirectory> directory)
      : FSDirectoryWrapper(std::move(directory)), system_(system) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    if (IOStatus fault = system_.Begin(false); !fault.ok()) return fault;
    system_.DirectorySynced();
    return IOStatus::OK();
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  FaultFileSystem& system_;
};

void FaultFileSystem::FailAt(uint64_t n, Fault fault) {
  const std::lock_guard lock(mutex_);
  operations_ = 0;
  struck_ = false;
  fail_at_ = n;
  fault_ = fault;
}

void FaultFileSystem::DieAt(uint64_t n) {
  const std::lock_guard lock(mutex_);
  operations_ = 0;
  struck_ = false;
  die_at_ = n;
}

void FaultFileSystem::SetFull(bool full) {
  const std::lock_guard lock(mutex_);
  full_ = full;
}

uint64_t FaultFileSystem::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

bool FaultFileSystem::struck() const {
  const std::lock_guard lock(mutex_);
  return struck_;
}

IOStatus FaultFileSystem::Begin(bool needs_room) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = ++operations_;
  if (number >= die_at_) {
    struck_ = true;
    return IOStatus::IOError("the power went");
  }
  if (full_ && needs_room) return IOStatus::NoSpace("the disk is full");
  if (number != fail_at_) return IOStatus::OK();
  struck_ = true;
  return fault_ == Fault::kNoSpace ? IOStatus::NoSpace("no space, as told") : IOStatus::IOError("failed as told");
}

void FaultFileSystem::Appended(const std::string& name, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  files_[name].written += bytes;
}

void FaultFileSystem::Synced(const std::string& name) {
  const std::lock_guard lock(mutex_);
  files_[name].synced = files_[name].written;
}

void FaultFileSystem::DirectorySynced() {
  const std::lock_guard lock(mutex_);
  for (auto& [name, file] : files_) file.entry_synced = true;
}

IOStatus FaultFileSystem::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  if (IOStatus fault = Begin(true); !fault.ok()) return fault;
  std::unique_ptr<rocksdb::FSWritableFile> inner;
  IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &inner, debug);
  if (!status.ok()) return status;
  *file = std::make_unique<FaultFile>(*this, name, std::move(inner));
  const std::lock_guard lock(mutex_);
  files_[name] = {};
  return status;
}

IOStatus FaultFileSystem::NewDirectory(const std::string& name, const IOOptions& options,
                                       std::unique_ptr<rocksdb::FSDirectory>* directory, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> inner;
  IOStatus status = FileSystemWrapper::NewDirectory(name, options, &inner, debug);
  if (status.ok()) *directory = std::make_unique<FaultDirectory>(*this, std::move(inner));
  return status;
}

IOStatus FaultFileSystem::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                                     IODebugContext* debug) {
  if (IOStatus fault = Begin(false); !fault.ok()) return fault;
  IOStatus status = FileSystemWrapper::RenameFile(from, to, options, debug);
  if (!status.ok()) return status;
  const std::lock_guard lock(mutex_);
  const auto moved = files_.find(from);
  if (moved == files_.end()) return status;
  File file = moved->second;
  // The file replaces one that is on the disk, so that a power loss leaves one of the two.
  file.entry_synced = files_.contains(to) && files_[to].entry_synced;
  files_.erase(moved);
  files_[to] = file;
  return status;
}

IOStatus FaultFileSystem::DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) {
  if (IOStatus fault = Begin(false); !fault.ok()) return fault;
  IOStatus status = FileSystemWrapper::DeleteFile(name, options, debug);
  const std::lock_guard lock(mutex_);
  if (status.ok()) files_.erase(name);
  return status;
}

void FaultFileSystem::LosePower(Random& random) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, file] : files_) {
    if (!std::filesystem::exists(name)) continue;
    if (!file.entry_synced) {
      std::filesystem::remove(name);
      continue;
    }
    const uint64_t left = file.synced + random.Below(file.written - file.synced + 1);
    std::filesystem::resize_file(name, left);
    if (left > file.synced && random.Chance(0.5)) {
      std::fstream bytes(name, std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekp(static_cast<std::streamoff>(file.synced + random.Below(left - file.synced)));
      bytes.put(static_cast<char>(random.Next()));
    }
  }
}

}  // namespace millrace
