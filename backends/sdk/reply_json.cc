#include "backends/sdk/reply_json.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

namespace millrace::backend {
namespace {

constexpr double kCountMax = 1e12;
constexpr size_t kEscapeSize = 6;  // \uXXXX

// Returns the code unit of the escape `\uXXXX` at an offset; nullopt if none is there.
std::optional<unsigned> EscapeAt(std::string_view text, size_t at) {
  if (at > text.size() || text.size() - at < kEscapeSize || text[at] != '\\' || text[at + 1] != 'u') {
    return std::nullopt;
  }
  unsigned unit = 0;
  const char* const end = text.data() + at + kEscapeSize;
  const auto parsed = std::from_chars(text.data() + at + 2, end, unit, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return unit;
}

bool IsHigh(unsigned unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool IsLow(unsigned unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

// Returns a copy in which escapes of lone surrogates are escapes of U+FFFD; nullopt if the text has none.
std::optional<std::string> WithoutLoneSurrogates(std::string_view text) {
  std::optional<std::string> copy;
  for (size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at)) {
    const std::optional<unsigned> unit = EscapeAt(text, at);
    if (!unit) {
      at += 2;  // another escape, of which a second backslash is part
      continue;
    }
    if (IsHigh(*unit) && IsLow(EscapeAt(text, at + kEscapeSize).value_or(0))) {
      at += 2 * kEscapeSize;
      continue;
    }
    if (IsHigh(*unit) || IsLow(*unit)) {
      if (!copy) copy.emplace(text);
      copy->replace(at, kEscapeSize, "\\ufffd");
    }
    at += kEscapeSize;
  }
  return copy;
}

}  // namespace

StatusOr<json::value> ParseReply(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::optional<std::string> repaired = WithoutLoneSurrogates(text);
  if (repaired) text = *repaired;
  json::parse_options options;
  options.max_depth = kOutsideDepthMax;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return MakeError(Reason::kBadResponse, fmt::format("not JSON ({})", error.message()));
  return value;
}

std::string TextAt(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  return found != nullptr && found->is_string() ? std::string(found->get_string().data(), found->get_string().size())
                                                : "";
}

std::optional<int64_t> CountAt(const json::value& value, std::string_view path) {
  const json::value* found = FindPath(value, path);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  const double count = found->is_double() ? found->get_double() : found->to_number<double>();
  if (!(count >= 0) || count > kCountMax || count != std::floor(count)) return std::nullopt;
  return static_cast<int64_t>(count);
}

bool IsNothing(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return true;
    case json::kind::bool_:
      return !value.get_bool();
    case json::kind::int64:
      return value.get_int64() == 0;
    case json::kind::uint64:
      return value.get_uint64() == 0;
    case json::kind::double_:
      return value.get_double() == 0;
    case json::kind::string:
      return value.get_string().empty();
    case json::kind::array:
      return value.get_array().empty();
    case json::kind::object:
      return value.get_object().empty();
  }
  return false;
}

}  // namespace millrace::backend
