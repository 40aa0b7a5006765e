// Watches the free space of the store's disk: below the reserve no new paid work begins, long before the disk is full.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace millrace {

// Free space as an argument.
class DiskSpace {
 public:
  virtual ~DiskSpace() = default;

  // Bytes that an ordinary user may still write on the disk of `path`; -1: not known. Any thread.
  virtual int64_t FreeBytes(const std::string& path) = 0;
};

// The machine's disks, by statvfs.
class SystemDiskSpace final : public DiskSpace {
 public:
  int64_t FreeBytes(const std::string& path) override;
};

// Measure is called by one thread; the others by any.
class DiskGuard {
 public:
  DiskGuard(DiskSpace& space, std::string path, int64_t reserve)
      : space_(space), path_(std::move(path)), reserve_(reserve) {}

  void Measure();

  // Less than the reserve is free. It ends a sixteenth above the reserve, so that a disk at the brink does not flap.
  bool low() const { return low_; }
  // Bytes; -1: not known.
  int64_t free_bytes() const { return free_; }
  int64_t reserve() const { return reserve_; }
  // Enough is free to reopen a store that ran full: what its memtables and logs may need, but never more than the
  // reserve.
  bool HasRoomToReopen() const;

 private:
  DiskSpace& space_;
  const std::string path_;
  const int64_t reserve_;
  std::atomic<int64_t> free_{-1};
  std::atomic<bool> low_{false};
};

}  // namespace millrace
