#include "server/engine/requests/page_token.h"

#include <algorithm>

#include "server/base/digest.h"

namespace millrace {
namespace {

constexpr size_t kMarkBytes = 8;
constexpr char kDigits[] = "0123456789abcdef";

std::string_view Mark(const Digest& digest) { return digest.bytes().substr(0, kMarkBytes); }

Digest DigestOf(std::string_view query, std::string_view position) {
  return Digester().AddPart("page").AddPart(query).AddPart(position).Finish();
}

int HexValue(char c) {
  const char* found = std::find(kDigits, kDigits + 16, c);
  return found == kDigits + 16 ? -1 : static_cast<int>(found - kDigits);
}

}  // namespace

std::string MakePageToken(std::string_view query, std::string_view position) {
  const Digest digest = DigestOf(query, position);
  std::string bytes(Mark(digest));
  bytes += position;
  std::string token;
  for (const char c : bytes) {
    token += kDigits[static_cast<uint8_t>(c) >> 4];
    token += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return token;
}

StatusOr<std::string> ReadPageToken(std::string_view query, std::string_view token) {
  if (token.empty()) return std::string();
  const Status invalid = MakeError(Reason::kInvalidPageToken, "the page token is damaged or belongs to another query");
  if (token.size() % 2 != 0 || token.size() < 2 * kMarkBytes) return invalid;
  std::string bytes;
  for (size_t i = 0; i < token.size(); i += 2) {
    const int high = HexValue(token[i]);
    const int low = HexValue(token[i + 1]);
    if (high < 0 || low < 0) return invalid;
    bytes += static_cast<char>(high << 4 | low);
  }
  std::string position = bytes.substr(kMarkBytes);
  const Digest digest = DigestOf(query, position);
  if (Mark(digest) != std::string_view(bytes).substr(0, kMarkBytes)) return invalid;
  return position;
}

StatusOr<size_t> PageSize(int32_t page_size, size_t fallback) {
  if (page_size < 0) {
    return MakeFieldError(Reason::kInvalidField, "page_size is negative", {{"page_size", "at least 0"}});
  }
  return page_size == 0 ? fallback : std::min<size_t>(static_cast<size_t>(page_size), 1000);
}

}  // namespace millrace
