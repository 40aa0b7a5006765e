// Watches the free space of the store's disk. Below the reserve no new paid work begins, long before the disk is full.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace millrace {

// Source of measurements of free space; tests have their own.
class DiskSpace {
 public:
  virtual ~DiskSpace() = default;

  // Returns the bytes that an ordinary user may still write on the disk of `path`; -1 if they are unknown. Any thread.
  virtual int64_t FreeBytes(const std::string& path) = 0;
};

// The machine's disks, by statvfs.
class SystemDiskSpace final : public DiskSpace {
 public:
  int64_t FreeBytes(const std::string& path) override;
};

// Last measurement of a disk's free space, compared with the reserve. One thread calls Measure, any thread the others.
class DiskGuard {
 public:
  DiskGuard(DiskSpace& space, std::string path, int64_t reserve)
      : space_(space), path_(std::move(path)), reserve_(reserve) {}

  // Measures the free space. Blocks for a system call.
  void Measure();

  // Returns true if less than the reserve is free. Returns false again only at 1/16 above the reserve, so that a disk
  // near the limit does not flap.
  bool low() const { return low_; }
  // Returns the free bytes; -1 if they are unknown.
  int64_t free_bytes() const { return free_; }
  int64_t reserve() const { return reserve_; }
  // Returns true if enough is free to reopen a store that ran full: 8 MiB, or the reserve if that is less.
  bool HasRoomToReopen() const;

 private:
  DiskSpace& space_;
  const std::string path_;
  const int64_t reserve_;
  std::atomic<int64_t> free_{-1};
  std::atomic<bool> low_{false};
};

}  // namespace millrace
