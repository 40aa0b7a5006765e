// SQLite opens files by path, and so could be led elsewhere by whoever exchanges a directory of that path. This makes
// it open them in a directory that is open already.
#pragma once

#include <memory>
#include <string>

#include "server/base/fd.h"

namespace millrace::store {

// Returns the directory as all databases in it share it. SQLite keeps one path of the memory that connections to a
// database share, that of the first of them, and deletes the file when the last one ends: it must lead to the same
// directory until then. Any thread.
std::shared_ptr<const UniqueFd> ShareDirectory(UniqueFd directory);

// Returns a path that leads into the open directory, as long as it is open.
std::string PathInOpenDirectory(const UniqueFd& directory, const std::string& name);

// Returns the name of a file system for sqlite3_open_v2 that takes such paths as they are. SQLite's own would first
// replace `/proc/self/fd/N` by the path that the directory has at that moment.
const char* VfsOfOpenDirectories();

}  // namespace millrace::store
