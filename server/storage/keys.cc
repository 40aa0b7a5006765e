#include "server/storage/keys.h"

#include <utility>

#include "server/storage/store.h"

namespace millrace {
namespace {

constexpr char kEscape = '\x00';
constexpr char kEscapedZero = '\xff';
constexpr char kEnd = '\x01';
constexpr uint64_t kSign = uint64_t{1} << 63;

}  // namespace

KeyBuilder::KeyBuilder(Table table, uint8_t tenant) {
  key_.push_back(static_cast<char>(tenant));
  key_.push_back(static_cast<char>(table));
}

KeyBuilder& KeyBuilder::Text(std::string_view text) {
  for (const char c : text) {
    key_.push_back(c);
    if (c == kEscape) key_.push_back(kEscapedZero);
  }
  key_.push_back(kEscape);
  key_.push_back(kEnd);
  return *this;
}

KeyBuilder& KeyBuilder::Number(int64_t number) {
  const uint64_t bits = static_cast<uint64_t>(number) ^ kSign;
  for (int shift = 56; shift >= 0; shift -= 8) key_.push_back(static_cast<char>(bits >> shift));
  return *this;
}

KeyBuilder& KeyBuilder::Key(const Digest& digest) {
  key_.append(digest.bytes());
  return *this;
}

KeyReader::KeyReader(std::string_view key) : rest_(key.size() < 2 ? std::string_view() : key.substr(2)) {}

std::optional<std::string> KeyReader::Text() {
  std::string text;
  for (size_t i = 0; i + 1 < rest_.size(); ++i) {
    if (rest_[i] != kEscape) {
      text.push_back(rest_[i]);
      continue;
    }
    ++i;
    if (rest_[i] == kEnd) {
      rest_.remove_prefix(i + 1);
      return text;
    }
    if (rest_[i] != kEscapedZero) return std::nullopt;
    text.push_back(kEscape);
  }
  return std::nullopt;
}

std::optional<int64_t> KeyReader::Number() {
  if (rest_.size() < 8) return std::nullopt;
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits = bits << 8 | static_cast<uint8_t>(rest_[i]);
  rest_.remove_prefix(8);
  return static_cast<int64_t>(bits ^ kSign);
}

std::optional<Digest> KeyReader::Key() {
  if (rest_.size() < 32) return std::nullopt;
  std::optional<Digest> digest = Digest::FromBytes(rest_.substr(0, 32));
  rest_.remove_prefix(32);
  return digest;
}

std::string PrefixEnd(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

}  // namespace millrace
