#include "server/http/client.h"

#include <algorithm>

namespace millrace {

std::string_view FindHeader(const HttpHeaders& headers, std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  for (const auto& [header, value] : headers) {
    if (std::equal(header.begin(), header.end(), name.begin(), name.end(),
                   [&](char a, char b) { return lower(a) == lower(b); })) {
      return value;
    }
  }
  return {};
}

}  // namespace millrace
