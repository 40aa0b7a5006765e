#include "backends/bedrock/fields.h"

#include <boost/json.hpp>
#include <cmath>

#include "server/base/json.h"

namespace millrace::backend::bedrock {

json::string JsonText(std::string_view text) { return json::string(text.data(), text.size()); }

std::string TextAt(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::optional<int64_t> CountAt(const json::value& value, std::string_view path) {
  static constexpr double kCountMax = 1e12;  // a larger number is not a count of tokens
  const json::value* found = FindPath(value, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  const double count = found->to_number<double>();
  if (!(count >= 0) || count > kCountMax || count != std::floor(count)) return std::nullopt;
  return static_cast<int64_t>(count);
}

}  // namespace millrace::backend::bedrock
