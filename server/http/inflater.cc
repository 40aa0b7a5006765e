#include "server/http/inflater.h"

#include <zlib.h>

#include <algorithm>

namespace millrace {

Inflater::Inflater() : stream_(std::make_unique<z_stream>()) {
  constexpr int kWindowBits = 15;
  constexpr int kDetectFormat = 32;  // gzip or zlib, by the data's header
  is_ready_ = inflateInit2(stream_.get(), kWindowBits + kDetectFormat) == Z_OK;
}

Inflater::~Inflater() {
  if (is_ready_) inflateEnd(stream_.get());
}

Inflater::State Inflater::Feed(std::string_view bytes, size_t out_bytes_max, std::string& out) {
  if (!is_ready_) return State::kMalformed;
  z_stream& stream = *stream_;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  while (true) {
    if (may_end_ && stream.avail_in > 0) {  // a body may have several members (RFC 1952)
      if (inflateReset(&stream) != Z_OK) return State::kMalformed;
      may_end_ = false;
    }
    char piece[4096];
    // One byte more than the limit shows that the limit is exceeded.
    const size_t room = std::min(sizeof piece, out_bytes_max - out.size() + 1);
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = static_cast<uInt>(room);
    const int result = may_end_ ? Z_BUF_ERROR : inflate(&stream, Z_NO_FLUSH);
    const size_t made = room - stream.avail_out;
    const bool is_too_large = made > out_bytes_max - out.size();
    out.append(piece, is_too_large ? made - 1 : made);
    if (is_too_large) return State::kTooLarge;
    if (result == Z_BUF_ERROR) return State::kMore;  // nothing was left to do
    if (result != Z_OK && result != Z_STREAM_END) return State::kMalformed;
    may_end_ = result == Z_STREAM_END;
  }
}

}  // namespace millrace
