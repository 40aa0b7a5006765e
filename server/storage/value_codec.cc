#include "server/storage/value_codec.h"

#include <fmt/format.h>
#include <google/protobuf/message_lite.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace millrace {
namespace {

// The frame: version, codec, key id (0: not encrypted), 4 bytes of checksum, payload.
constexpr uint8_t kVersion = 1;
enum Codec : uint8_t { kPlain = 0, kZstd = 1 };
constexpr size_t kChecksumAt = 3;
constexpr size_t kHeaderBytes = 7;

// Below it a value is compressed together with its neighbours, by the store: that saves more and costs one pass.
constexpr size_t kCompressOver = 4096;
constexpr int kZstdLevel = 1;  // level 3 saves 4% more of JSON and takes half as long again
// No part of the program stores more in one value; a longer claim comes from damage that the checksum did not see.
constexpr uint64_t kPayloadBytesMax = uint64_t{1} << 30;

// CRC-32 of zlib: all single bits and bursts of up to 32, at a quarter of SHA-256's cost for a value of 64 bytes
// (167 against 659 ns) and half at 1 KiB. It guards against damage, not against an adversary.
uint32_t Checksum(std::string_view key, std::string_view head, std::string_view payload) {
  const auto add = [](uLong crc, std::string_view bytes) {
    return crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  };
  // The length of the key sets it off from what follows.
  std::string length(4, '\0');
  for (int i = 0; i < 4; ++i) length[i] = static_cast<char>(key.size() >> (8 * i));
  uLong crc = add(crc32_z(0, nullptr, 0), length);
  crc = add(crc, key);
  crc = add(crc, head);
  return static_cast<uint32_t>(add(crc, payload));
}

// Writes the header of a frame whose payload is there already.
void WriteHeader(std::string_view key, Codec codec, std::string& frame) {
  frame[0] = static_cast<char>(kVersion);
  frame[1] = static_cast<char>(codec);
  frame[2] = 0;
  const std::string_view view = frame;
  const uint32_t checksum = Checksum(key, view.substr(0, kChecksumAt), view.substr(kHeaderBytes));
  for (int i = 0; i < 4; ++i) frame[kChecksumAt + i] = static_cast<char>(checksum >> (8 * i));
}

std::string Frame(std::string_view key, Codec codec, std::string_view payload) {
  std::string frame;
  frame.reserve(kHeaderBytes + payload.size());
  frame.resize(kHeaderBytes);
  frame.append(payload);
  WriteHeader(key, codec, frame);
  return frame;
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

// Contexts are kept a thread: making one costs more than compressing a small value.
std::string Compress(std::string_view payload) {
  static thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  std::string compressed(ZSTD_compressBound(payload.size()), '\0');
  const size_t size = ZSTD_compressCCtx(context.get(), compressed.data(), compressed.size(), payload.data(),
                                        payload.size(), kZstdLevel);
  compressed.resize(ZSTD_isError(size) ? 0 : size);
  return compressed;
}

Status Corrupt(std::string_view what) {
  return MakeError(Reason::kStoreCorrupt, fmt::format("a stored value is damaged: {}", what));
}

StatusOr<std::string> Decompress(std::string_view payload) {
  const unsigned long long size = ZSTD_getFrameContentSize(payload.data(), payload.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > kPayloadBytesMax) {
    return Corrupt("its compressed length");
  }
  static thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  std::string plain(size, '\0');
  const size_t got = ZSTD_decompressDCtx(context.get(), plain.data(), plain.size(), payload.data(), payload.size());
  if (ZSTD_isError(got) || got != size) return Corrupt("its compressed bytes");
  return plain;
}

// The codec of a value whose frame is whole.
StatusOr<Codec> CheckFrame(std::string_view key, std::string_view value) {
  if (value.size() < kHeaderBytes) return Corrupt("it is too short");
  const std::string_view head = value.substr(0, kChecksumAt);
  const std::string_view payload = value.substr(kHeaderBytes);
  uint32_t checksum = 0;
  for (int i = 0; i < 4; ++i) checksum |= uint32_t{static_cast<uint8_t>(value[kChecksumAt + i])} << (8 * i);
  // Before the version: the checksum covers the head in every release, so that a flipped bit is not taken for a newer
  // release.
  if (checksum != Checksum(key, head, payload)) return Corrupt("its checksum is wrong");
  const uint8_t version = static_cast<uint8_t>(head[0]);
  const uint8_t codec = static_cast<uint8_t>(head[1]);
  const uint8_t key_id = static_cast<uint8_t>(head[2]);
  if (version != kVersion || codec > kZstd || key_id != 0) {
    return MakeError(
        Reason::kStoreVersion,
        fmt::format("a stored value was written by a newer release (format {}, codec {}, key {}); this one "
                    "reads format {}",
                    version, codec, key_id, kVersion));
  }
  return static_cast<Codec>(codec);
}

}  // namespace

std::string EncodeValue(std::string_view key, std::string_view payload) {
  if (payload.size() > kCompressOver) {
    const std::string compressed = Compress(payload);
    if (!compressed.empty() && compressed.size() <= payload.size() - payload.size() / 10) {
      return Frame(key, kZstd, compressed);
    }
  }
  return Frame(key, kPlain, payload);
}

std::string EncodeValue(std::string_view key, const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  if (size > kCompressOver) return EncodeValue(key, std::string_view(message.SerializeAsString()));
  // Into its frame at once: most values are small, and a server's thread makes thousands of them a second.
  std::string frame(kHeaderBytes + size, '\0');
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(frame.data()) + kHeaderBytes);
  WriteHeader(key, kPlain, frame);
  return frame;
}

size_t PlainSize(std::string_view value) {
  if (value.size() < kHeaderBytes || value[0] != static_cast<char>(kVersion) || value[1] != static_cast<char>(kZstd)) {
    return value.size();
  }
  const std::string_view payload = value.substr(kHeaderBytes);
  const unsigned long long size = ZSTD_getFrameContentSize(payload.data(), payload.size());
  const bool is_known = size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR && size <= kPayloadBytesMax;
  return is_known ? static_cast<size_t>(size) : value.size();
}

StatusOr<std::string> DecodeValue(std::string_view key, std::string_view value) {
  MR_ASSIGN_OR_RETURN(const Codec codec, CheckFrame(key, value));
  const std::string_view payload = value.substr(kHeaderBytes);
  if (codec == kZstd) return Decompress(payload);
  return std::string(payload);
}

Status DecodeValue(std::string_view key, std::string_view value, google::protobuf::MessageLite& message) {
  MR_ASSIGN_OR_RETURN(const Codec codec, CheckFrame(key, value));
  std::string_view payload = value.substr(kHeaderBytes);
  std::string plain;
  if (codec == kZstd) {
    MR_ASSIGN_OR_RETURN(plain, Decompress(payload));
    payload = plain;
  }
  if (!message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Corrupt("it is not the record that its table keeps");
  }
  return absl::OkStatus();
}

}  // namespace millrace
