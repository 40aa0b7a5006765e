// Bytes from outside: a file, or a client's input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "server/base/status.h"
#include "server/base/task.h"

namespace millrace {

// Source of bytes. Engine thread; a file is read on the pool.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  struct Chunk {
    std::string bytes;
    bool end = false;  // the source ends where these bytes end
  };
  // Returns at most `size` bytes from `offset`; none if nothing is there yet, or at the end.
  virtual Task<StatusOr<Chunk>> Read(int64_t offset, size_t size) = 0;

  // Returns a digest by which a changed source is recognised (size, time of change, its first 64 KiB); empty for a
  // client's input, which can't change.
  virtual Task<StatusOr<std::string>> Identity() = 0;
};

}  // namespace millrace
