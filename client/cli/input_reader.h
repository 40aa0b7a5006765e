// Reader of a local file that is sent as the input of a run. An input that can't be read completely must never look
// complete, or the run would process only a part of it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/base/status.h"

namespace millrace::cli {

// Not thread-safe.
class InputReader {
 public:
  // Opens a regular file, a pipe or a terminal (`/dev/stdin`, `<(…)`). Blocks until a named pipe has a writer. Errors:
  // FILE_ERROR with the path and the system's message.
  static StatusOr<std::unique_ptr<InputReader>> Open(const std::string& path);
  ~InputReader();
  InputReader(const InputReader&) = delete;

  // Returns at most `limit` bytes from `offset` on; empty only at the end. Errors: FILE_ERROR if reading fails, the
  // file has changed since it was opened, or `offset` is not the current position of a pipe; CANCELLED if `stopped`
  // returns true while it waits for a pipe.
  StatusOr<std::string> Read(int64_t offset, size_t limit, const std::function<bool()>& stopped);

 private:
  InputReader(std::string path, int file, const struct stat& opened);

  Status Error(const std::string& what) const;
  StatusOr<std::string> ReadFile(int64_t offset, size_t limit) const;
  StatusOr<std::string> ReadPipe(size_t limit, const std::function<bool()>& stopped) const;
  // Returns an error if the file changed while it was sent.
  Status CheckEnd(int64_t offset) const;

  const std::string path_;
  const int file_;
  const struct stat opened_;
  int64_t position_ = 0;  // bytes read from a pipe
};

}  // namespace millrace::cli
