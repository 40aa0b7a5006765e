#include "server/base/http_date.h"

#include <time.h>

#include <string>

namespace millrace {

std::optional<int64_t> HttpDateSeconds(std::string_view text) {
  tm parts{};
  const std::string date(text);
  const char* const end = ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

}  // namespace millrace
