#include "backends/sdk/event_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>

#include "server/base/json.h"
#include "server/base/text_file.h"

namespace millrace::backend {
namespace {

using testing::HasSubstr;

std::string TextOf(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  return found == nullptr ? "" : std::string(found->as_string());
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string ToHex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

// The vectors were made by botocore 1.44.5.
json::value Vectors() {
  const auto file = ReadTextFile("tests/backends/data/eventstream.json", 1);
  EXPECT_TRUE(file.ok()) << file.status();
  auto vectors = ParseJson(*file);
  EXPECT_TRUE(vectors.ok()) << vectors.status();
  return *std::move(vectors);
}

// A header as the vectors write it.
json::value Shown(const EventHeader& header) {
  static constexpr const char* kTypes[] = {"bool_true", "bool_false", "byte",   "short",     "integer",
                                           "long",      "bytes",      "string", "timestamp", "uuid"};
  json::object shown{{"name", header.name}, {"type", kTypes[static_cast<int>(header.type)]}};
  switch (header.type) {
    case EventHeader::Type::kTrue:
    case EventHeader::Type::kFalse:
      shown["value"] = header.type == EventHeader::Type::kTrue;
      break;
    case EventHeader::Type::kString:
      shown["value"] = header.bytes;
      break;
    case EventHeader::Type::kBytes:
    case EventHeader::Type::kUuid:
      shown["value"] = ToHex(header.bytes);
      break;
    default:
      shown["value"] = header.number;
  }
  return shown;
}

json::value Shown(const EventMessage& message) {
  json::array headers;
  for (const EventHeader& header : message.headers) headers.push_back(Shown(header));
  return {{"headers", headers}, {"payload_hex", ToHex(message.payload)}};
}

// Adds the messages that can be read, and returns the error if the stream is broken.
Status Drain(EventStreamReader& reader, json::array& messages) {
  while (true) {
    MR_ASSIGN_OR_RETURN(const std::optional<EventMessage> message, reader.Next());
    if (!message) return absl::OkStatus();
    messages.push_back(Shown(*message));
  }
}

// Reads pieces to the end of the stream.
Status ReadAll(const std::vector<std::string_view>& pieces, json::array& messages) {
  EventStreamReader reader;
  for (const std::string_view piece : pieces) {
    reader.Add(piece);
    if (const Status status = Drain(reader, messages); !status.ok()) {
      EXPECT_EQ(reader.Next().status(), status) << "an error is final";
      EXPECT_EQ(reader.End(), status);
      return status;
    }
  }
  return reader.End();
}

json::value Expected(const json::value& vector) {
  const json::value& decoded = vector.at("decoded");
  return {{"headers", decoded.at("headers")}, {"payload_hex", decoded.at("payload_hex")}};
}

TEST(EventStreamTest, ReadsMessagesWholeAndSplitAtEveryByte) {
  const json::value vectors = Vectors();
  EXPECT_EQ(vectors.at("valid").as_array().size(), 17u);
  for (const json::value& vector : vectors.at("valid").as_array()) {
    SCOPED_TRACE(TextOf(vector, "name"));
    const std::string bytes = FromHex(TextOf(vector, "hex"));
    const std::string_view view = bytes;
    const json::array expected{Expected(vector)};
    for (size_t at = 0; at <= bytes.size(); ++at) {
      json::array messages;
      const Status status = ReadAll({view.substr(0, at), view.substr(at)}, messages);
      ASSERT_TRUE(status.ok()) << status;
      ASSERT_EQ(messages, expected) << "split at " << at;
    }
  }
}

TEST(EventStreamTest, ReturnsAMessageWithItsLastByte) {
  const json::value vectors = Vectors();
  std::map<std::string, json::value> valid;
  for (const json::value& vector : vectors.at("valid").as_array()) valid[TextOf(vector, "name")] = Expected(vector);
  EXPECT_EQ(vectors.at("splits").as_array().size(), 8u);
  for (const json::value& vector : vectors.at("splits").as_array()) {
    SCOPED_TRACE(TextOf(vector, "name"));
    EventStreamReader reader;
    json::array messages;
    const json::array& chunks = vector.at("chunks_hex").as_array();
    for (size_t i = 0; i < chunks.size(); ++i) {
      const size_t before = messages.size();
      reader.Add(FromHex(std::string(chunks[i].as_string())));
      ASSERT_TRUE(Drain(reader, messages).ok());
      EXPECT_EQ(messages.size() - before,
                vector.at("complete_messages_after_each_chunk").as_array()[i].to_number<size_t>())
          << "chunk " << i;
    }
    json::array expected;
    for (const json::value& name : vector.at("messages").as_array()) {
      expected.push_back(valid.at(std::string(name.as_string())));
    }
    EXPECT_EQ(messages, expected);
    EXPECT_TRUE(reader.End().ok());
  }
}

TEST(EventStreamTest, RefusesBytesThatViolateTheFormat) {
  const std::map<std::string, std::string> messages = {
      {"prelude_crc_mismatch", "checksum of lengths"},
      {"message_crc_mismatch", "a message with a wrong checksum"},
      {"headers_too_long", "131073 bytes of headers; at most 131072"},
      {"payload_too_long", "a message of 25165825 bytes; at most 25165824"},
      {"duplicate_header", "the header `a` twice"},
      {"unknown_header_type", "unknown type 10"},
      {"invalid_utf8", "not UTF-8"},
      {"header_truncated", "longer than the headers' part"},
      {"empty_header_name", "a header without a name"},
      {"bad_lengths", "shorter than its headers"},
      {"incomplete", "ends inside a message"},
  };
  const json::value vectors = Vectors();
  EXPECT_EQ(vectors.at("corrupted").as_array().size(), 17u);
  for (const json::value& vector : vectors.at("corrupted").as_array()) {
    SCOPED_TRACE(TextOf(vector, "name"));
    const std::string bytes = FromHex(TextOf(vector, "hex"));
    const std::string_view view = bytes;
    for (size_t at = 0; at <= bytes.size(); ++at) {
      json::array read;
      const Status status = ReadAll({view.substr(0, at), view.substr(at)}, read);
      ASSERT_EQ(ReasonOf(status), Reason::kBadResponse) << "split at " << at;
      ASSERT_THAT(std::string(MessageOf(status)), HasSubstr(messages.at(TextOf(vector, "error"))));
      ASSERT_TRUE(read.empty());
    }
  }
}

TEST(EventStreamTest, ReturnsTheTextOfAHeader) {
  EventMessage message;
  message.headers.push_back({.name = ":event-type", .type = EventHeader::Type::kString, .bytes = "metadata"});
  message.headers.push_back({.name = "raw", .type = EventHeader::Type::kBytes, .bytes = "x"});
  EXPECT_EQ(message.TextOf(":event-type"), "metadata");
  EXPECT_EQ(message.TextOf("raw"), "") << "bytes are not a text";
  EXPECT_EQ(message.TextOf("none"), "");
}

TEST(EventStreamTest, ReadsManyMessagesOfOnePiece) {
  const std::string empty = FromHex("000000100000000005c248eb7d98c8ff");
  std::string flood;
  for (int i = 0; i < 100'000; ++i) flood += empty;
  EventStreamReader reader;
  reader.Add(flood);
  int count = 0;
  while (true) {
    const auto message = reader.Next();
    ASSERT_TRUE(message.ok());
    if (!*message) break;
    ++count;
  }
  EXPECT_EQ(count, 100'000);
  EXPECT_TRUE(reader.End().ok());
}

}  // namespace
}  // namespace millrace::backend
