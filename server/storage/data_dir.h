// The directory of a store on disk: made private, held by one process at a time, and marked with the format of what is
// in it. Files of ours beside RocksDB's: `holder` (process id and boot id of who holds it, or held it last) and
// `format` (the version of the store's format). docs/formats.md describes both.
#pragma once

#include <memory>
#include <string>

#include "server/base/status.h"

namespace millrace {

// The format that this release writes; it reads this and all older ones.
inline constexpr int kStoreFormat = 1;

// A held directory. Let go of by its destructor, or by the system when the process dies.
class DataDir {
 public:
  // Makes the directory where it is absent (mode 0700) and holds it. FAILED_PRECONDITION where another process (or
  // another store of this one) holds it (STORE_HELD), or a newer release wrote it (STORE_CORRUPT): it is then
  // untouched. `boot_id`: of the running system; empty: not known.
  static StatusOr<std::unique_ptr<DataDir>> Hold(const std::string& path, std::string boot_id);
  ~DataDir();
  DataDir(const DataDir&) = delete;

  // The system was not started anew since the store was last opened, so that whatever a process wrote is still there,
  // synced or not.
  bool SameBoot() const { return same_boot_; }
  // Whether there is a store. DATA_LOSS where there is a part of one: making a new one over it would hide the loss.
  StatusOr<bool> HasStore() const;
  // The file `format` was there.
  bool has_format() const { return has_format_; }
  // Notes that the store was opened, thus recovered: its format, and the system's boot.
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

// The running system's boot id; empty where it has none.
std::string SystemBootId();

}  // namespace millrace
