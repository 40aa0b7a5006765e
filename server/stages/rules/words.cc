#include "server/stages/rules/words.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

namespace millrace::rules {
namespace {

bool IsMark(UChar32 c) {
  const int8_t type = u_charType(c);
  return type == U_NON_SPACING_MARK || type == U_ENCLOSING_MARK || type == U_COMBINING_SPACING_MARK;
}

// Returns true if the character is a word by itself: its script has no spaces.
bool StandsAlone(UChar32 c) {
  if (c < 0x0e00) return false;
  switch (u_getIntPropertyValue(c, UCHAR_LINE_BREAK)) {
    case U_LB_IDEOGRAPHIC:
    case U_LB_COMPLEX_CONTEXT:
    case U_LB_CONDITIONAL_JAPANESE_STARTER:
      return true;
    default:
      return false;
  }
}

bool IsWordCharacter(UChar32 c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return u_isalnum(c) || IsMark(c);
}

void Append(UChar32 c, std::string& out) {
  char bytes[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, c);
  out.append(bytes, static_cast<size_t>(length));
}

// Returns the folded letters of one character: decomposed, without marks, in small letters.
void AppendFolded(UChar32 c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    return;
  }
  UErrorCode error = U_ZERO_ERROR;
  static const UNormalizer2* const normalizer = unorm2_getNFKDInstance(&error);
  UChar decomposed[32] = {};
  int32_t length = normalizer == nullptr ? -1 : unorm2_getDecomposition(normalizer, c, decomposed, 32, &error);
  if (length < 0 || U_FAILURE(error)) {
    error = U_ZERO_ERROR;
    length = 0;
    U16_APPEND_UNSAFE(decomposed, length, c);
  }
  UChar folded[96] = {};
  const int32_t folded_length = u_strFoldCase(folded, 96, decomposed, length, U_FOLD_CASE_DEFAULT, &error);
  if (U_FAILURE(error)) return Append(c, out);
  for (int32_t i = 0; i < folded_length;) {
    UChar32 letter = 0;
    U16_NEXT(folded, i, folded_length, letter);
    if (!IsMark(letter)) Append(letter, out);
  }
}

bool IsSpaceOrDash(UChar32 c) {
  if (c < 0x80) return c == ' ' || c == '-' || (c >= '\t' && c <= '\r');
  return u_isUWhiteSpace(c) || u_charType(c) == U_DASH_PUNCTUATION;
}

// Appends a character between words to `gap`.
void AppendGap(UChar32 c, size_t gap_begin, std::string& gap) {
  if (c < 0) c = 0xfffd;
  if (IsSpaceOrDash(c)) {
    if (gap.size() == gap_begin || gap.back() != ' ') gap.push_back(' ');
  } else if (c == 0x2019 || c == 0x2018 || c == 0x02bc || c == '`') {
    gap.push_back('\'');
  } else {
    Append(c, gap);
  }
}

}  // namespace

void ScanWords(std::string_view text, WordScan& scan) {
  scan.words.clear();
  scan.folded.clear();
  scan.folded.reserve(text.size());
  const auto length = static_cast<int32_t>(text.size());
  Word word;
  bool inside = false;  // of a word that more letters may join
  const auto finish = [&] {
    if (inside) {
      word.word_end = static_cast<uint32_t>(scan.folded.size());
      scan.words.push_back(word);
      inside = false;
      word.gap_begin = word.word_end;
    }
  };
  for (int32_t at = 0; at < length;) {
    const int32_t begin = at;
    UChar32 c = 0;
    U8_NEXT(text.data(), at, length, c);
    if (c < 0 || !IsWordCharacter(c)) {
      finish();
      AppendGap(c, word.gap_begin, scan.folded);
      continue;
    }
    const bool alone = StandsAlone(c) && !IsMark(c);
    if (alone) finish();
    if (!inside) {
      word.begin = static_cast<uint32_t>(begin);
      word.word_begin = static_cast<uint32_t>(scan.folded.size());
      inside = true;
    }
    AppendFolded(c, scan.folded);
    word.end = static_cast<uint32_t>(at);
    if (alone) finish();
  }
  finish();
}

std::string ExactName(std::string_view text, const WordScan& scan, size_t first, size_t last) {
  std::string name;
  for (size_t i = first; i <= last; ++i) {
    const Word& word = scan.words[i];
    if (i > first) name.append(scan.folded, word.gap_begin, word.word_begin - word.gap_begin);
    name.append(text.substr(word.begin, word.end - word.begin));
  }
  return name;
}

}  // namespace millrace::rules
