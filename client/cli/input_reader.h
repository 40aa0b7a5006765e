// A file of the client's own, read to be sent as a run's input. An input that can't be read to its end must never look
// like one that has ended: the run would go on with a part of it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/base/status.h"

namespace millrace::cli {

// One thread.
class InputReader {
 public:
  // Regular files, pipes and terminals (`/dev/stdin`, `<(…)`); waits for the writer of a named pipe. NOT_FOUND or
  // FAILED_PRECONDITION (FILE_ERROR) with the path and the system's word.
  static StatusOr<std::unique_ptr<InputReader>> Open(const std::string& path);
  ~InputReader();
  InputReader(const InputReader&) = delete;

  // At most `limit` bytes from `offset` on; empty only at the end. FAILED_PRECONDITION (FILE_ERROR) where it can't be
  // read, where a file is not what it was when it was opened, or where a pipe would have to jump. A wait for a pipe
  // ends with CANCELLED once `stopped` says so.
  StatusOr<std::string> Read(int64_t offset, size_t limit, const std::function<bool()>& stopped);

 private:
  InputReader(std::string path, int file, const struct stat& opened);

  Status Error(const std::string& what) const;
  StatusOr<std::string> ReadFile(int64_t offset, size_t limit) const;
  StatusOr<std::string> ReadPipe(size_t limit, const std::function<bool()>& stopped) const;
  // Nothing came or went while it was sent.
  Status CheckEnd(int64_t offset) const;

  const std::string path_;
  const int file_;
  const struct stat opened_;
  int64_t position_ = 0;  // of a pipe
};

}  // namespace millrace::cli
