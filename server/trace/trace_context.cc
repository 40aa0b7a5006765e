#include "server/trace/trace_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace millrace::trace {
namespace {

constexpr size_t kTraceparentSize = 55;
constexpr size_t kMembersMax = 32;
constexpr size_t kKeyMax = 256;
constexpr size_t kValueMax = 256;
// The standard asks for 512 at least. Metadata of one request has 8 KiB in all.
constexpr size_t kStateBytesMax = 4096;
constexpr size_t kLongMember = 128;

// Returns the number that all digits give, nothing if one of them is not a lower-case hexadecimal digit.
std::optional<uint64_t> FromHex(std::string_view digits) {
  uint64_t value = 0;
  for (const char c : digits) {
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

std::optional<TraceContext> ReadTraceparent(std::string_view text) {
  if (text.size() < kTraceparentSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  const auto version = FromHex(text.substr(0, 2));
  const auto high = FromHex(text.substr(3, 16));
  const auto low = FromHex(text.substr(19, 16));
  const auto span = FromHex(text.substr(36, 16));
  const auto flags = FromHex(text.substr(53, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xff || *span == 0) return std::nullopt;
  // Later versions may append to it.
  const bool may_be_longer = *version > 0 && text.size() > kTraceparentSize && text[kTraceparentSize] == '-';
  if (text.size() != kTraceparentSize && !may_be_longer) return std::nullopt;
  TraceContext context{.trace = {*high, *low}, .span = *span};
  if (!context.trace.is_valid()) return std::nullopt;
  context.sampled = (*flags & 1) != 0;
  context.random = (*flags & 2) != 0;
  return context;
}

bool IsKeyByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
}

// Level 2 of the standard merges the forms `key` and `tenant@system`, and lets both begin with a digit.
bool IsKey(std::string_view key) {
  if (key.empty() || key.size() > kKeyMax || !std::all_of(key.begin(), key.end(), IsKeyByte)) return false;
  return (key.front() >= 'a' && key.front() <= 'z') || (key.front() >= '0' && key.front() <= '9');
}

bool IsValue(std::string_view value) {
  if (value.empty() || value.size() > kValueMax || value.back() == ' ') return false;
  return std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

size_t JoinedSize(const std::vector<std::string_view>& members) {
  size_t size = members.empty() ? 0 : members.size() - 1;
  for (const std::string_view member : members) size += member.size();
  return size;
}

// Drops members until the rest is short enough: at first the long ones, then the last ones, which are the oldest.
void Shorten(std::vector<std::string_view>& members) {
  for (size_t i = members.size(); i-- > 0 && JoinedSize(members) > kStateBytesMax;) {
    if (members[i].size() > kLongMember) members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
  }
  while (JoinedSize(members) > kStateBytesMax) members.pop_back();
}

std::string ReadTracestate(const std::vector<std::string_view>& headers) {
  std::vector<std::string_view> members;
  std::set<std::string_view> keys;
  for (std::string_view header : headers) {
    while (true) {
      const size_t comma = header.find(',');
      const std::string_view member = Trimmed(header.substr(0, comma));
      if (!member.empty()) {
        const size_t equals = member.find('=');
        if (equals == std::string_view::npos || members.size() == kMembersMax) return "";
        const std::string_view key = member.substr(0, equals);
        if (!IsKey(key) || !IsValue(member.substr(equals + 1)) || !keys.insert(key).second) return "";
        members.push_back(member);
      }
      if (comma == std::string_view::npos) break;
      header.remove_prefix(comma + 1);
    }
  }
  Shorten(members);
  std::string joined;
  for (const std::string_view member : members) {
    if (!joined.empty()) joined += ',';
    joined += member;
  }
  return joined;
}

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): every bit of the result depends on every bit of `x`.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t HashOf(std::string_view text, uint64_t seed) {
  uint64_t hash = seed ^ 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return Mix(hash);
}

std::string BigEndian(uint64_t number) {
  std::string bytes(8, '\0');
  for (size_t i = 8; i-- > 0; number >>= 8) bytes[i] = static_cast<char>(number & 0xff);
  return bytes;
}

}  // namespace

TraceId NamedTraceId(const TraceId& scope, std::string_view name) {
  TraceId id{HashOf(name, Mix(scope.high)), HashOf(name, Mix(scope.low ^ 0x9e3779b97f4a7c15u))};
  if (!id.is_valid()) id.low = 1;
  return id;
}

std::optional<TraceContext> ReadTraceContext(const std::vector<std::string_view>& traceparents,
                                             const std::vector<std::string_view>& tracestates) {
  if (traceparents.size() != 1) return std::nullopt;
  std::optional<TraceContext> context = ReadTraceparent(traceparents.front());
  if (context) context->state = ReadTracestate(tracestates);
  return context;
}

std::string FormatTraceparent(const TraceContext& context) {
  const int flags = (context.sampled ? 1 : 0) | (context.random ? 2 : 0);
  return fmt::format("00-{}-{}-{:02x}", Hex(context.trace), Hex(context.span), flags);
}

std::string Hex(const TraceId& id) { return fmt::format("{:016x}{:016x}", id.high, id.low); }
std::string Hex(SpanId id) { return fmt::format("{:016x}", id); }

std::string Bytes(const TraceId& id) { return BigEndian(id.high) + BigEndian(id.low); }
std::string Bytes(SpanId id) { return BigEndian(id); }

}  // namespace millrace::trace
