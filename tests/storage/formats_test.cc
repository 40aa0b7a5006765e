// docs/formats.md can't lie about the store: its vectors and its list of tables are read from the page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "server/base/json.h"
#include "server/storage/keys.h"
#include "server/storage/value_codec.h"

namespace millrace {
namespace {

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The lines of a fenced block of the page, each a JSON value.
std::vector<json::value> Vectors(const std::string& name) {
  std::vector<json::value> vectors;
  bool inside = false;
  for (const std::string& line : Lines("docs/formats.md")) {
    if (line.starts_with("```")) {
      inside = line == "```" + name;
    } else if (inside) {
      StatusOr<json::value> value = ParseJson(line);
      EXPECT_TRUE(value.ok()) << line;
      if (value.ok()) vectors.push_back(*std::move(value));
    }
  }
  EXPECT_GE(vectors.size(), 4u) << name;
  return vectors;
}

std::string Text(const json::value& value, const char* name) {
  return std::string(value.as_object().at(name).as_string());
}

std::string Unhex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

TEST(FormatsTest, KeysAreAsThePageSays) {
  for (const json::value& vector : Vectors("store-key-vectors")) {
    KeyBuilder builder(static_cast<Table>(Text(vector, "table").front()));
    const std::string key = Unhex(Text(vector, "key"));
    KeyReader reader(key);
    for (const json::value& part : vector.as_object().at("parts").as_array()) {
      const auto& [kind, value] = *part.as_object().begin();
      if (kind == "text") {
        builder.Text(std::string(value.as_string()));
        EXPECT_EQ(reader.Text(), std::string(value.as_string()));
      } else if (kind == "number") {
        builder.Number(value.to_number<int64_t>());
        EXPECT_EQ(reader.Number(), value.to_number<int64_t>());
      } else {
        const Digest digest = *Digest::FromBytes(Unhex(std::string(value.as_string())));
        builder.Key(digest);
        EXPECT_EQ(reader.Key(), digest);
      }
    }
    EXPECT_EQ(Hex(builder), Hex(key)) << vector;
  }
}

TEST(FormatsTest, ValuesAreAsThePageSays) {
  for (const json::value& vector : Vectors("store-value-vectors")) {
    const std::string key = Unhex(Text(vector, "key"));
    const std::string frame = Unhex(Text(vector, "frame"));
    if (vector.as_object().contains("payload")) {
      const std::string payload = Unhex(Text(vector, "payload"));
      EXPECT_EQ(Hex(EncodeValue(key, payload)), Hex(frame));
      EXPECT_EQ(*DecodeValue(key, frame), payload);
    } else {
      // Another version of zstd may compress it to other bytes: only reading them is promised.
      const std::string unit = Unhex(Text(vector, "payload_repeated"));
      std::string payload;
      for (int64_t i = 0; i < vector.as_object().at("times").to_number<int64_t>(); ++i) payload += unit;
      EXPECT_EQ(*DecodeValue(key, frame), payload);
      EXPECT_EQ(EncodeValue(key, payload)[1], '\1');
    }
  }
}

TEST(FormatsTest, ThePageListsTheTables) {
  std::vector<std::string> of_the_code;
  for (const std::string& line : Lines("server/storage/keys.h")) {
    const size_t letter = line.find(" = '");
    if (!line.starts_with("  k") || letter == std::string::npos) continue;
    of_the_code.push_back(line.substr(3, letter - 3) + " " + line[letter + 4]);
  }
  std::vector<std::string> of_the_page;
  for (const std::string& line : Lines("docs/formats.md")) {
    if (!line.starts_with("| `") || line.size() < 10 || line[4] != '`') continue;
    of_the_page.push_back(line.substr(8, line.find(' ', 8) - 8) + " " + line[3]);
  }
  EXPECT_EQ(of_the_page, of_the_code);
  EXPECT_GT(of_the_code.size(), 15u);
}

}  // namespace
}  // namespace millrace
