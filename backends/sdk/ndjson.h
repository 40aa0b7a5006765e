// Incremental reader of lines, as providers stream one JSON value per line (NDJSON).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::backend {

// Splits bytes at line ends, however they are cut into pieces. Lines end with LF or CRLF; blank lines are skipped.
// Memory: the longest line and one piece.
class NdjsonReader {
 public:
  // Room for a whole answer on one line, of which the host limits the bytes anyway.
  static constexpr size_t kLineBytesMax = 16u << 20;

  explicit NdjsonReader(size_t line_bytes_max = kLineBytesMax) : line_bytes_max_(line_bytes_max) {}

  // Adds the next bytes. Views that Next returned become invalid.
  void Add(std::string_view bytes);

  // Returns the next complete line without its end; nullopt if there is none, or if a line is too long.
  std::optional<std::string_view> Next();

  // Returns the bytes after the last line end, which are the last line if the stream has ended; nullopt if they are
  // blank. REQUIRES: Next returned nullopt.
  std::optional<std::string_view> Rest() const;

  // Returns true if a line has more bytes than the limit. The reader then returns no more lines.
  bool is_too_long() const { return is_too_long_; }

 private:
  const size_t line_bytes_max_;
  std::string buffer_;
  size_t begin_ = 0;    // of the first line that was not returned
  size_t scanned_ = 0;  // no line ends between begin_ and here
  bool is_too_long_ = false;
};

}  // namespace millrace::backend
