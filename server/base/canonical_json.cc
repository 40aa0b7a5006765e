// Writes the canonical form of JSON (docs/formats.md) while it reads the text, without a tree in between. Members of an
// object are written as they come and sorted when the object ends.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "server/base/canonical_json.h"
#include "server/base/number.h"

namespace millrace {
namespace {

std::string_view View(json::string_view text) { return {text.data(), text.size()}; }

// Compares two names by UTF-16 code units, as ECMAScript sorts; below 0 if `a` comes first. The order of UTF-8's bytes
// is that of code points. The two orders differ only between characters with a surrogate pair (U+10000 and above) and
// those from U+E000 to U+FFFF.
int CompareUtf16(std::string_view a, std::string_view b) {
  const size_t common = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < common && a[i] == b[i]) ++i;
  if (i == common) return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
  const auto x = static_cast<unsigned char>(a[i]);
  const auto y = static_cast<unsigned char>(b[i]);
  if (x >= 0xf0 && (y == 0xee || y == 0xef)) return -1;
  if (y >= 0xf0 && (x == 0xee || x == 0xef)) return 1;
  return x < y ? -1 : 1;
}

// Appends the JSON string of `text` without its quotes. Escapes as few characters as RFC 8785 allows.
void AppendEscaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.substr(done, i - done));
    done = i + 1;
    out.push_back('\\');
    switch (c) {
      case '"':
      case '\\':
        out.push_back(static_cast<char>(c));
        break;
      case '\b':
        out.push_back('b');
        break;
      case '\t':
        out.push_back('t');
        break;
      case '\n':
        out.push_back('n');
        break;
      case '\f':
        out.push_back('f');
        break;
      case '\r':
        out.push_back('r');
        break;
      default:
        out += "u00";
        out.push_back(kHex[c >> 4]);
        out.push_back(kHex[c & 15]);
    }
  }
  out.append(text.substr(done));
}

// Appends a double. JSON has no numbers that are not finite: they become null, as in ECMAScript.
void AppendDouble(std::string& out, const json::value& number) {
  if (std::isfinite(number.get_double())) {
    AppendDecimal(ToDecimal(number), out);
  } else {
    out += "null";
  }
}

// Handler of Boost.JSON's parser that writes the canonical form.
class CanonicalWriter {
 public:
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;

  explicit CanonicalWriter(size_t size) {
    out_.reserve(size + 16);
    keys_.reserve(128);
    members_.reserve(16);
    levels_.reserve(8);
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code&) {
    BeginValue();
    levels_.push_back({.is_object = true, .first_member = members_.size(), .first_key = keys_.size()});
    out_.push_back('{');
    return true;
  }
  bool on_object_end(size_t, json::error_code& error) {
    if (!SortMembers(levels_.back().first_member)) {
      error = json::error::syntax;
      return false;
    }
    members_.resize(levels_.back().first_member);
    keys_.resize(levels_.back().first_key);
    levels_.pop_back();
    out_.push_back('}');
    return true;
  }
  bool on_array_begin(json::error_code&) {
    BeginValue();
    levels_.push_back({});
    out_.push_back('[');
    return true;
  }
  bool on_array_end(size_t, json::error_code&) {
    levels_.pop_back();
    out_.push_back(']');
    return true;
  }

  bool on_key_part(json::string_view part, size_t, json::error_code&) {
    if (!in_string_) BeginKey();
    keys_.append(View(part));
    AppendEscaped(out_, View(part));
    return true;
  }
  bool on_key(json::string_view part, size_t size, json::error_code& error) {
    on_key_part(part, size, error);
    members_.back().key_size = keys_.size() - members_.back().key;
    out_ += "\":";
    in_string_ = false;
    return true;
  }
  bool on_string_part(json::string_view part, size_t, json::error_code&) {
    if (!in_string_) {
      BeginValue();
      out_.push_back('"');
      in_string_ = true;
    }
    AppendEscaped(out_, View(part));
    return true;
  }
  bool on_string(json::string_view part, size_t size, json::error_code& error) {
    on_string_part(part, size, error);
    out_.push_back('"');
    in_string_ = false;
    return true;
  }

  // Numbers never come in parts, because the parser gets the whole text at once.
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t, json::string_view text, json::error_code&) {
    BeginValue();
    const std::string_view digits = View(text);
    out_.append(digits == "-0" ? "0" : digits);
    return true;
  }
  bool on_uint64(uint64_t, json::string_view text, json::error_code&) {
    BeginValue();
    out_.append(View(text));
    return true;
  }
  bool on_double(double, json::string_view text, json::error_code& error) {
    BeginValue();
    const std::optional<Decimal> number = ParseDecimal(View(text));
    if (!number) {
      error = json::error::exponent_overflow;
      return false;
    }
    AppendDecimal(*number, out_);
    return true;
  }
  bool on_bool(bool truth, json::error_code&) {
    BeginValue();
    out_ += truth ? "true" : "false";
    return true;
  }
  bool on_null(json::error_code&) {
    BeginValue();
    out_ += "null";
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  std::string Release() { return std::move(out_); }
  // The duplicate name, if that is the error.
  const std::optional<std::string>& duplicate() const { return duplicate_; }

 private:
  // An array or object that has not ended.
  struct Level {
    bool is_object = false;
    bool is_empty = true;
    size_t first_member = 0;
    size_t first_key = 0;
  };
  // A member of an object that has not ended.
  struct Member {
    size_t begin = 0;  // offset in out_ of the quote before its name
    size_t key = 0;    // offset in keys_ of its name
    size_t key_size = 0;
  };

  void BeginValue() {
    if (levels_.empty() || levels_.back().is_object) return;
    if (!levels_.back().is_empty) out_.push_back(',');
    levels_.back().is_empty = false;
  }

  void BeginKey() {
    if (!levels_.back().is_empty) out_.push_back(',');
    levels_.back().is_empty = false;
    members_.push_back({.begin = out_.size(), .key = keys_.size()});
    out_.push_back('"');
    in_string_ = true;
  }

  std::string_view KeyOf(const Member& member) const {
    return std::string_view(keys_).substr(member.key, member.key_size);
  }

  // Sorts the members from `first` on, the last of which ends at the end of out_. Returns false if two have one name.
  bool SortMembers(size_t first) {
    const size_t count = members_.size() - first;
    if (count < 2) return true;
    const auto members = std::span(members_).subspan(first);
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; ++i) {
      sorted = CompareUtf16(KeyOf(members[i - 1]), KeyOf(members[i])) < 0;
    }
    if (sorted) return true;

    const size_t begin = members.front().begin;
    order_.clear();
    for (size_t i = 0; i < count; ++i) {
      const size_t end = i + 1 < count ? members[i + 1].begin - 1 : out_.size();
      order_.push_back({i, members[i].begin, end});
    }
    std::sort(order_.begin(), order_.end(), [&](const Piece& a, const Piece& b) {
      return CompareUtf16(KeyOf(members[a.member]), KeyOf(members[b.member])) < 0;
    });
    for (size_t i = 1; i < count; ++i) {
      const std::string_view key = KeyOf(members[order_[i].member]);
      if (key != KeyOf(members[order_[i - 1].member])) continue;
      duplicate_ = std::string(key);
      return false;
    }
    scratch_.clear();
    for (const Piece& piece : order_) {
      if (!scratch_.empty()) scratch_.push_back(',');
      scratch_.append(out_, piece.begin, piece.end - piece.begin);
    }
    std::copy(scratch_.begin(), scratch_.end(), out_.begin() + static_cast<ptrdiff_t>(begin));
    return true;
  }

  struct Piece {
    size_t member;
    size_t begin;
    size_t end;
  };

  std::string out_;
  std::string keys_;  // the names of the members of members_, unescaped, one after the other
  std::vector<Member> members_;
  std::vector<Level> levels_;
  std::vector<Piece> order_;
  std::string scratch_;
  bool in_string_ = false;
  std::optional<std::string> duplicate_;
};

void AppendValue(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      out += fmt::to_string(value.get_int64());
      return;
    case json::kind::uint64:
      out += fmt::to_string(value.get_uint64());
      return;
    case json::kind::double_:
      AppendDouble(out, value);
      return;
    case json::kind::string:
      if (NumberText(value)) return AppendDecimal(ToDecimal(value), out);
      AppendJsonString(View(value.get_string()), out);
      return;
    case json::kind::array: {
      out.push_back('[');
      bool first = true;
      for (const json::value& element : value.get_array()) {
        if (!std::exchange(first, false)) out.push_back(',');
        AppendValue(out, element);
      }
      out.push_back(']');
      return;
    }
    case json::kind::object: {
      std::vector<const json::key_value_pair*> members;
      for (const json::key_value_pair& member : value.get_object()) members.push_back(&member);
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return CompareUtf16(View(a->key()), View(b->key())) < 0; });
      out.push_back('{');
      bool first = true;
      for (const json::key_value_pair* member : members) {
        if (!std::exchange(first, false)) out.push_back(',');
        AppendJsonString(View(member->key()), out);
        out.push_back(':');
        AppendValue(out, member->value());
      }
      out.push_back('}');
      return;
    }
  }
}

}  // namespace

StatusOr<std::string> CanonicalJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) return JsonTooLarge(text.size(), limits);
  json::parse_options options;
  options.max_depth = limits.depth;
  json::basic_parser<CanonicalWriter> parser(options, text.size());
  json::error_code error;
  const size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (const auto& duplicate = parser.handler().duplicate()) {
    return NotJson(read, fmt::format("the object that ends here has a duplicate name \"{}\"", Excerpt(*duplicate)));
  }
  if (error) return NotJson(read, error.message());
  if (read < text.size()) return NotJson(read, "text follows the value");
  return parser.handler().Release();
}

std::string CanonicalJson(const json::value& value) {
  std::string out;
  AppendValue(out, value);
  return out;
}

void AppendJsonString(std::string_view text, std::string& out) {
  out.push_back('"');
  AppendEscaped(out, text);
  out.push_back('"');
}

}  // namespace millrace
