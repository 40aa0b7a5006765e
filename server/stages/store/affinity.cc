#include "server/stages/store/affinity.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace millrace::store {
namespace {

bool SkipDigits(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(end);
  return end > 0;
}

bool SkipSign(std::string_view& text) {
  const bool has_sign = text.starts_with('-') || text.starts_with('+');
  if (has_sign) text.remove_prefix(1);
  return has_sign;
}

// Returns true for a text that SQLite takes for a number: decimal digits with blanks around it, no hexadecimal ones.
bool IsSqliteNumber(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  text.remove_suffix(text.size() - (text.find_last_not_of(kBlanks) + 1));
  SkipSign(text);
  bool has_digits = SkipDigits(text);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    has_digits |= SkipDigits(text);
  }
  if (has_digits && (text.starts_with('e') || text.starts_with('E'))) {
    text.remove_prefix(1);
    SkipSign(text);
    if (!SkipDigits(text)) return false;
  }
  return has_digits && text.empty();
}

// Returns true if a double has the integer's value.
bool IsExactReal(int64_t integer) {
  const auto real = static_cast<double>(integer);
  return real < 0x1p63 && static_cast<int64_t>(real) == integer;
}

}  // namespace

Affinity AffinityOf(std::string_view declared_type) {
  std::string type(declared_type);
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const auto has = [&type](std::string_view word) { return type.find(word) != std::string::npos; };
  if (has("INT")) return Affinity::kInteger;
  if (has("CHAR") || has("CLOB") || has("TEXT")) return Affinity::kText;
  if (type.empty() || has("BLOB")) return Affinity::kNone;
  if (has("REAL") || has("FLOA") || has("DOUB")) return Affinity::kReal;
  return Affinity::kNumeric;
}

bool KeepsValue(Affinity affinity, const SqlValue& value) {
  if (affinity == Affinity::kNone || std::holds_alternative<std::monostate>(value)) return true;
  const auto* text = std::get_if<std::string>(&value);
  if (affinity == Affinity::kText) return text != nullptr;
  if (text != nullptr) return !IsSqliteNumber(*text);
  const auto* integer = std::get_if<int64_t>(&value);
  return affinity != Affinity::kReal || integer == nullptr || IsExactReal(*integer);
}

}  // namespace millrace::store
