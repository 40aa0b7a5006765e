#include "server/storage/value_codec.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "server/base/random.h"

namespace millrace {
namespace {

std::string Bytes(Random& random, size_t length) {
  std::string bytes;
  while (bytes.size() < length) bytes.push_back(static_cast<char>(random.Next()));
  return bytes;
}

TEST(ValueCodecTest, DecodesWhatItEncoded) {
  Random random(1);
  for (const size_t length : {0, 1, 100, 1024, 4096, 4097, 5000, 300'000}) {
    for (const std::string& payload : {std::string(length, 'x'), Bytes(random, length)}) {
      const StatusOr<std::string> decoded = DecodeValue("key", EncodeValue("key", payload));
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_EQ(*decoded, payload);
    }
  }
}

TEST(ValueCodecTest, CompressesIfThatSavesATenth) {
  Random random(1);
  EXPECT_EQ(EncodeValue("key", std::string(1024, 'x')).size(), 1031u);
  EXPECT_LT(EncodeValue("key", std::string(4097, 'x')).size(), 100u);
  EXPECT_EQ(EncodeValue("key", Bytes(random, 5000)).size(), 5007u);
  EXPECT_EQ(EncodeValue("key", Bytes(random, 5000) + std::string(400, 'x')).size(), 5407u);
}

TEST(ValueCodecTest, RefusesEveryFlippedBit) {
  Random random(1);
  for (const std::string& payload : {std::string(), std::string("a small record"), Bytes(random, 600),
                                     Bytes(random, 700) + std::string(3000, 'x')}) {
    std::string frame = EncodeValue("key", payload);
    for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
      frame[bit / 8] = static_cast<char>(frame[bit / 8] ^ (1 << (bit % 8)));
      const Status status = DecodeValue("key", frame).status();
      ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << bit;
      ASSERT_EQ(ReasonOf(status), Reason::kStoreCorrupt);
      frame[bit / 8] = static_cast<char>(frame[bit / 8] ^ (1 << (bit % 8)));
    }
  }
}

TEST(ValueCodecTest, RefusesEveryTruncatedAndEveryLongerFrame) {
  std::string frame = EncodeValue("key", std::string(5000, 'x'));
  for (size_t length = 0; length < frame.size(); ++length) {
    ASSERT_EQ(DecodeValue("key", std::string_view(frame).substr(0, length)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(DecodeValue("key", frame + '\0').status().code(), absl::StatusCode::kDataLoss);
}

TEST(ValueCodecTest, RefusesRandomBytes) {
  Random random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = Bytes(random, random.Below(40));
    if (bytes.size() > 2) bytes.replace(0, 3, std::string("\1\0\0", 3));
    EXPECT_FALSE(DecodeValue("key", bytes).ok());
  }
}

TEST(ValueCodecTest, RefusesAValueUnderAnotherKey) {
  const std::string frame = EncodeValue("key", "payload");
  EXPECT_EQ(DecodeValue("kez", frame).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeValue("", frame).status().code(), absl::StatusCode::kDataLoss);
}

// Returns a frame with a valid checksum, as another release could have written it.
std::string FrameOf(char version, char codec, char key_id, std::string_view payload) {
  std::string frame = {version, codec, key_id};
  std::string covered("\3\0\0\0key", 7);
  covered += frame;
  covered += payload;
  const auto checksum = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(covered.data()), static_cast<uInt>(covered.size())));
  for (int i = 0; i < 4; ++i) frame.push_back(static_cast<char>(checksum >> (8 * i)));
  return frame + std::string(payload);
}

TEST(ValueCodecTest, DistinguishesANewerReleaseFromDamage) {
  EXPECT_EQ(*DecodeValue("key", FrameOf(1, 0, 0, "payload")), "payload");
  for (const std::string& frame :
       {FrameOf(2, 0, 0, "payload"), FrameOf(1, 2, 0, "payload"), FrameOf(1, 0, 1, "payload")}) {
    const Status status = DecodeValue("key", frame).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(MessageOf(status)), testing::HasSubstr("newer release"));
  }
}

TEST(ValueCodecTest, RefusesACompressedValueThatIsNotZstd) {
  EXPECT_EQ(DecodeValue("key", FrameOf(1, 1, 0, "payload")).status().code(), absl::StatusCode::kDataLoss);
  // Header of a zstd frame that claims 2^62 bytes.
  const std::string bomb("\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x40", 13);
  EXPECT_EQ(DecodeValue("key", FrameOf(1, 1, 0, bomb)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ValueCodecTest, KeepsMessages) {
  google::protobuf::StringValue message;
  message.set_value("text");
  const std::string frame = EncodeValue("key", message);
  const auto decoded = Decode<google::protobuf::StringValue>("key", frame);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->value(), "text");
  EXPECT_EQ(Decode<google::protobuf::StringValue>("key", EncodeValue("key", "\xff\xff")).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace millrace
