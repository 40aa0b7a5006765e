// Decompresses a body (`gzip`, or `deflate` in zlib's format), for response_reader.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct z_stream_s;

namespace millrace {

class Inflater {
 public:
  enum class State {
    kMore,       // all bytes are read; the data may continue
    kTooLarge,   // the decompressed data exceed the limit
    kMalformed,  // the bytes are not compressed data
  };
  Inflater();
  ~Inflater();
  Inflater(const Inflater&) = delete;

  // Appends the decompressed bytes to `out` until it has `out_bytes_max`. REQUIRES: every earlier call returned kMore.
  State Feed(std::string_view bytes, size_t out_bytes_max, std::string& out);
  // Returns true if the data may end here: no byte has come, or the end of the compressed data.
  bool may_end() const { return may_end_; }

 private:
  std::unique_ptr<z_stream_s> stream_;
  bool is_ready_ = false;
  bool may_end_ = true;
};

}  // namespace millrace
