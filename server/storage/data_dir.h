// Directory of a store on disk: private, held by one process at a time, and marked with the format of its content.
// Besides RocksDB's files it has three of ours, which docs/formats.md describes: `holder` (process id and boot id of the
// present or last holder), `format` (version of the store's format) and `reached` (reach_marker.h).
#pragma once

#include <memory>
#include <string>

#include "server/base/status.h"

namespace millrace {

// Format that this release reads and writes. Format 1 was never released.
inline constexpr int kStoreFormat = 2;

// Returns OK for kStoreFormat and STORE_VERSION for another format, with a message that says what to do.
Status CheckStoreFormat(int format);

// A held directory. The destructor releases it, or the system if the process dies.
class DataDir {
 public:
  // Makes the directory if it is absent (mode 0700) and holds it. `boot_id` is that of the running system; empty if it
  // is unknown. STORE_HELD if another process, or another store of this one, holds it; STORE_VERSION if another release
  // wrote it: both leave it unchanged. STORE_CORRUPT if the file `format` is damaged; STORE_UNAVAILABLE if the
  // directory can't be made, read or written.
  static StatusOr<std::unique_ptr<DataDir>> Hold(const std::string& path, std::string boot_id);
  // Returns why Hold and HasStore would refuse the directory, except that it is held; changes nothing. REQUIRES: the
  // directory exists.
  static Status Check(const std::string& path);
  ~DataDir();
  DataDir(const DataDir&) = delete;

  // Returns true if the system has not restarted since the store was last opened, so that all writes of its processes
  // still exist, synced or not.
  bool SameBoot() const { return same_boot_; }
  // Returns true if the directory has a store. STORE_CORRUPT if it has only a part of one: a new store over it would
  // hide the loss.
  StatusOr<bool> HasStore() const;
  // Returns true if the file `format` existed when the directory was held.
  bool has_format() const { return has_format_; }
  // Records, after the store was opened and thus recovered, its format and the system's boot id.
  Status MarkOpened();

 private:
  DataDir(std::string path, int holder, std::string boot_id)
      : path_(std::move(path)), holder_(holder), boot_id_(std::move(boot_id)) {}

  Status WriteHolder(const std::string& boot_id);
  std::string File(std::string_view name) const;

  const std::string path_;
  const int holder_;  // file descriptor; owned
  const std::string boot_id_;
  bool same_boot_ = false;
  bool has_format_ = false;
};

// Returns the boot id of the running system; empty if it has none.
std::string SystemBootId();

}  // namespace millrace
