// Standard output of the program, every write of which is checked: an output that is only a part of the answer must not
// look whole. The streams of the C++ library forget the cause and, at the end of the program, the failure itself.
#pragma once

#include <streambuf>
#include <string>

#include "server/base/status.h"

namespace millrace::cli {

// A stream buffer over a file descriptor. After the first failure it takes nothing more, so that the stream that uses
// it is bad from then on. Writes at the end of each line if the descriptor is a terminal. One thread at a time.
class OutputFile final : public std::streambuf {
 public:
  // `fd` stays the caller's until Close.
  explicit OutputFile(int fd);
  OutputFile(const OutputFile&) = delete;

  // Writes what is left and closes the descriptor, because some file systems report only then that they could not keep
  // what was written. Returns FILE_ERROR with the system's message if anything could not be written.
  Status Close();
  // Returns true if the reader of a pipe has left, as `head` does when it has enough.
  bool reader_left() const;

 protected:
  int_type overflow(int_type byte) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;
  int sync() override;

 private:
  bool Flush();

  const int fd_;
  const bool is_terminal_;
  std::string buffer_;
  int error_ = 0;  // of the first failure
};

}  // namespace millrace::cli
