#include "server/text/tokens.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <optional>

namespace millrace {
namespace {

constexpr UChar32 kApostrophe = 0x2019;

enum class Kind : uint8_t { kLetter, kDigit, kUnspaced, kOther };

bool IsUnspacedScript(UChar32 c) {
  if (c < 0x0E00) return false;
  UErrorCode error = U_ZERO_ERROR;
  switch (uscript_getScript(c, &error)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_THAI:
    case USCRIPT_LAO:
    case USCRIPT_KHMER:
    case USCRIPT_MYANMAR:
      return true;
    default:
      return false;
  }
}

Kind KindOf(UChar32 c) {
  if (c < 0) return Kind::kOther;
  if (c < 0x80) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Kind::kLetter;
    return c >= '0' && c <= '9' ? Kind::kDigit : Kind::kOther;
  }
  const bool mark = (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0;
  if (!mark && !u_isalnum(c)) return Kind::kOther;
  if (IsUnspacedScript(c)) return Kind::kUnspaced;
  return u_isdigit(c) ? Kind::kDigit : Kind::kLetter;
}

bool IsApostrophe(UChar32 c) { return c == '\'' || c == kApostrophe; }

// Returns true for a character that ends a sentence or opens one: the word after it may have a capital without being a
// name.
bool OpensSentence(UChar32 c) {
  switch (c) {
    case '.':
    case '!':
    case '?':
    case ':':
    case ';':
    case '\n':
    case '"':
    case 0x201C:  // opening quotation mark
    case 0x2026:  // ellipsis
    case 0x2014:  // em dash
      return true;
    default:
      return false;
  }
}

bool EndsSentence(UChar32 c) { return c == '.' || c == '!' || c == '?' || c == '\n'; }

// A code point, and the offset after it.
struct Point {
  UChar32 c = -1;
  size_t end = 0;
};

class Scanner {
 public:
  Scanner(std::string_view text, size_t max_tokens) : text_(text), max_tokens_(max_tokens) {}

  std::vector<Token> Scan() {
    while (at_ < text_.size() && !Full()) {
      const Point point = Read(at_);
      switch (KindOf(point.c)) {
        case Kind::kUnspaced:
          ScanUnspaced();
          break;
        case Kind::kOther:
          NoteSeparator(point);
          break;
        default:
          ScanWord();
      }
    }
    EndSentence();
    return std::move(tokens_);
  }

 private:
  struct Written {
    bool capital = false;  // begins with a capital
    bool upper = false;    // has only capitals, and at least two
    bool opens = false;    // is the first of a sentence
    bool letters = false;  // is long enough to show how its sentence is written
  };

  bool Full() const { return max_tokens_ != 0 && tokens_.size() >= max_tokens_; }

  Point Read(size_t at) const {
    if (at >= text_.size()) return {-1, at};
    int32_t next = 0;
    UChar32 c = 0;
    const auto* bytes = reinterpret_cast<const uint8_t*>(text_.data() + at);
    const auto length = static_cast<int32_t>(std::min<size_t>(text_.size() - at, 8));
    U8_NEXT(bytes, next, length, c);
    return {c, at + static_cast<size_t>(next)};
  }

  void NoteSeparator(const Point& point) {
    if (OpensSentence(point.c)) opening_ = true;
    if (EndsSentence(point.c)) EndSentence();
    if (point.c != ' ' && point.c != '-' && !IsApostrophe(point.c)) apart_ = true;
    at_ = point.end;
  }

  // Emits overlapping pairs of characters: the best that is possible without a dictionary, and the usual choice of
  // search engines.
  void ScanUnspaced() {
    std::vector<size_t> starts;
    size_t end = at_;
    for (Point point = Read(end); KindOf(point.c) == Kind::kUnspaced; point = Read(end)) {
      starts.push_back(end);
      end = point.end;
    }
    starts.push_back(end);
    if (starts.size() == 2) Push(text_.substr(starts[0], end - starts[0]), {}, false);
    for (size_t i = 0; i + 2 < starts.size() && !Full(); ++i) {
      Push(text_.substr(starts[i], starts[i + 2] - starts[i]), {}, false);
    }
    at_ = end;
    opening_ = false;
  }

  // Returns true if the character between a word's characters `before` and `after` belongs to the word.
  static bool Joins(UChar32 between, Kind before, Kind after, bool single_letters) {
    if (IsApostrophe(between)) return before == Kind::kLetter && after == Kind::kLetter;
    if (between == ',') return before == Kind::kDigit && after == Kind::kDigit;
    if (between == '-') return before != after && (before == Kind::kDigit || after == Kind::kDigit);
    if (between != '.') return false;
    return (before == Kind::kDigit && after == Kind::kDigit) || (single_letters && after == Kind::kLetter);
  }

  void ScanWord() {
    std::string word;
    Written written;
    bool number = false;
    bool single_letters = true;  // every part between dots is one letter
    size_t letters = 0;
    size_t capitals = 0;
    size_t part = 0;
    Kind before = Kind::kOther;
    for (Point point = Read(at_); point.c >= 0; point = Read(at_)) {
      const Kind kind = KindOf(point.c);
      if (kind == Kind::kLetter || kind == Kind::kDigit) {
        if (word.empty()) written.capital = u_isupper(point.c) || u_istitle(point.c);
        if (kind == Kind::kLetter && ++part > 1) single_letters = false;
        letters += kind == Kind::kLetter ? 1 : 0;
        capitals += u_isupper(point.c) ? 1 : 0;
        number = number || kind == Kind::kDigit;
        word.append(text_.substr(at_, point.end - at_));
        before = kind;
        at_ = point.end;
        continue;
      }
      const Point after = Read(point.end);
      const Kind after_kind = KindOf(after.c);
      if ((after_kind != Kind::kLetter && after_kind != Kind::kDigit) ||
          !Joins(point.c, before, after_kind, single_letters)) {
        break;
      }
      // Drops the possessive ending; drops only the apostrophe of other words ("O'Neill", "don't").
      if (IsApostrophe(point.c) && (after.c == 's' || after.c == 'S') && KindOf(Read(after.end).c) == Kind::kOther) {
        at_ = after.end;
        break;
      }
      part = 0;
      // Keeps a decimal point, because 3.5 is not 35.
      if (point.c == '.' && after_kind == Kind::kDigit) word.push_back('.');
      at_ = point.end;
    }
    // Passes over the last dot of `U.S.`, which does not end a sentence.
    if (single_letters && letters > 1 && letters == capitals && Read(at_).c == '.') at_ = Read(at_).end;
    written.upper = letters > 1 && capitals == letters;
    written.letters = letters > 3;
    Push(word, written, number);
  }

  void Push(std::string_view word, Written written, bool number) {
    Token token;
    token.text = FoldWord(word);
    token.number = number;
    token.joined = !apart_ && !tokens_.empty();
    written.opens = opening_;
    opening_ = false;
    apart_ = false;
    if (token.text.empty()) return;
    tokens_.push_back(std::move(token));
    written_.push_back(written);
  }

  // Decides for a whole sentence if its capitals are evidence: they are not in Headlines Like This One.
  void EndSentence() {
    size_t common = 0;
    size_t capital = 0;
    size_t upper = 0;
    for (size_t i = sentence_; i < tokens_.size(); ++i) {
      const Written& written = written_[i];
      if (!written.letters || written.opens) continue;
      (written.capital ? capital : common) += 1;
      upper += written.upper ? 1 : 0;
    }
    const bool telling = common > 0 && common >= capital;
    const bool shouted = upper > 1 && common == 0;
    for (size_t i = sentence_; i < tokens_.size(); ++i) {
      const Written& written = written_[i];
      tokens_[i].acronym = written.upper && !shouted;
      if (!telling || written.opens) continue;
      tokens_[i].evidence = written.capital ? NameEvidence::kName : NameEvidence::kCommon;
    }
    sentence_ = tokens_.size();
  }

  std::string_view text_;
  size_t max_tokens_;
  size_t at_ = 0;
  size_t sentence_ = 0;  // index of the sentence's first token
  bool opening_ = true;  // the next word is the first of a sentence
  bool apart_ = true;    // another character than a space or hyphen has followed the last word
  std::vector<Token> tokens_;
  std::vector<Written> written_;
};

// Returns true for accents of Latin, Greek and Cyrillic letters. Vowel signs of other scripts are not accents: they
// distinguish words.
bool IsAccent(UChar32 c) { return c >= 0x0300 && c <= 0x036F; }

std::string FoldUnicode(std::string_view word) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* decompose = icu::Normalizer2::getNFKDInstance(error);
  const icu::Normalizer2* fold = icu::Normalizer2::getNFKCCasefoldInstance(error);
  if (U_FAILURE(error)) return std::string(word);
  const icu::UnicodeString parts = decompose->normalize(
      icu::UnicodeString::fromUTF8(icu::StringPiece(word.data(), static_cast<int32_t>(word.size()))), error);
  icu::UnicodeString plain;
  for (int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1)) {
    if (!IsAccent(parts.char32At(i))) plain.append(parts.char32At(i));
  }
  std::string folded;
  fold->normalize(plain, error).toUTF8String(folded);
  return U_FAILURE(error) ? std::string(word) : folded;
}

}  // namespace

std::vector<Token> Tokenize(std::string_view text, size_t max_tokens) { return Scanner(text, max_tokens).Scan(); }

std::string FoldWord(std::string_view word) {
  std::string folded(word);
  for (char& c : folded) {
    if (static_cast<unsigned char>(c) >= 0x80) return FoldUnicode(word);
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return folded;
}

}  // namespace millrace
