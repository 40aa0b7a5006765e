#include "backends/local/text.h"

#include <algorithm>
#include <array>
#include <map>

#include "backends/sdk/schema.h"
#include "server/base/utf8.h"

namespace millrace::backend {
namespace {

// Sorted for binary search.
constexpr auto kFunctionWords = std::to_array<std::string_view>(
    {"about",  "after",  "again", "against", "all",   "also",  "and",   "another", "any",  "are",  "because",
     "been",   "before", "being", "between", "both",  "but",   "can",   "could",   "did",  "does", "down",
     "during", "each",   "else",  "even",    "ever",  "every", "few",   "for",     "from", "had",  "has",
     "have",   "her",    "here",  "him",     "his",   "how",   "into",  "its",     "just", "may",  "might",
     "more",   "most",   "much",  "must",    "near",  "nor",   "not",   "now",     "off",  "once", "one",
     "only",   "other",  "our",   "out",     "over",  "own",   "per",   "said",    "same", "says", "she",
     "should", "since",  "some",  "such",    "than",  "that",  "the",   "their",   "them", "then", "there",
     "these",  "they",   "this",  "those",   "under", "until", "upon",  "was",     "were", "what", "when",
     "where",  "which",  "while", "who",     "will",  "with",  "would", "you"});
static_assert(std::is_sorted(kFunctionWords.begin(), kFunctionWords.end()));

constexpr size_t kLettersMin = 3;

bool IsAsciiWord(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// Returns true if the character is part of words: ASCII letters and digits, and all characters beyond ASCII except
// common punctuation in news (Latin-1 signs, general punctuation with its quotes and dashes, Chinese and Japanese
// punctuation).
bool IsWordCharacter(std::string_view character) {
  if (character.size() == 1) return IsAsciiWord(character[0]) || static_cast<unsigned char>(character[0]) >= 0x80;
  if (character.starts_with("\xc2"))
    return character == "\xc2\xaa" || character == "\xc2\xb5" || character == "\xc2\xba";
  return !character.starts_with("\xe2\x80") && !character.starts_with("\xe2\x81") && !character.starts_with("\xe3\x80");
}

bool WordBegins(std::string_view text, size_t at) {
  return at < text.size() && IsWordCharacter(text.substr(at, NextCharacter(text, at) - at));
}

// Returns true if the character that ends before `at` is part of a word.
bool WordEnds(std::string_view text, size_t at) {
  if (at == 0) return false;
  const size_t begin = PreviousCharacter(text, at);
  return IsWordCharacter(text.substr(begin, at - begin));
}

size_t CharactersOf(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), BeginsCharacter));
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string Lowered(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

// Removes the next sentence from `text` and returns it on one line; empty if nothing is left.
std::string TakeSentence(std::string_view& text) {
  std::string sentence;
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  size_t end = 0;
  while (end < text.size()) {
    const char c = text[end];
    if (IsSpace(c)) {
      if (text.substr(end).starts_with("\n\n") || text.substr(end).starts_with("\r\n\r\n")) break;
      if (!sentence.ends_with(' ')) sentence += ' ';
      ++end;
      continue;
    }
    sentence += c;
    ++end;
    const bool ends = end == text.size() || IsSpace(text[end]);
    if (ends && (c == '.' || c == '!' || c == '?')) break;
  }
  text.remove_prefix(end);
  while (sentence.ends_with(' ')) sentence.pop_back();
  return sentence;
}

}  // namespace

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line = Trimmed(line);
    if (line.starts_with("- ") || line.starts_with("* ")) line = Trimmed(line.substr(2));
    // A line with only a list mark is an empty entry.
    if (!line.empty() && line != "-" && line != "*") lines.push_back(line);
  }
  return lines;
}

std::string FittingSentence(std::string_view text, int64_t characters_min, int64_t characters_max) {
  std::string first;
  for (std::string_view rest = text; !rest.empty();) {
    std::string sentence = TakeSentence(rest);
    if (sentence.empty()) break;
    const auto characters = static_cast<int64_t>(CharactersOf(sentence));
    if (characters >= characters_min && characters <= characters_max) return sentence;
    if (first.empty()) first = std::move(sentence);
  }
  return CutAt(first, characters_max);
}

std::vector<std::string> TopTerms(std::string_view text, size_t terms_max) {
  struct Term {
    std::string_view written;
    int64_t count = 0;
    size_t place = 0;
  };
  std::map<std::string, Term> terms;
  for (size_t i = 0; i < text.size();) {
    if (!WordBegins(text, i)) {
      i = NextCharacter(text, i);
      continue;
    }
    const size_t begin = i;
    while (WordBegins(text, i)) i = NextCharacter(text, i);
    const std::string_view word = text.substr(begin, i - begin);
    if (CharactersOf(word) < kLettersMin) continue;
    std::string lowered = Lowered(word);
    if (std::binary_search(kFunctionWords.begin(), kFunctionWords.end(), lowered)) continue;
    Term& term = terms[std::move(lowered)];
    if (term.count++ == 0) {
      term.written = word;
      term.place = begin;
    }
  }
  std::vector<Term> sorted;
  for (const auto& [lowered, term] : terms) sorted.push_back(term);
  std::sort(sorted.begin(), sorted.end(),
            [](const Term& a, const Term& b) { return a.count != b.count ? a.count > b.count : a.place < b.place; });
  if (sorted.size() > terms_max) sorted.resize(terms_max);
  std::vector<std::string> top;
  for (const Term& term : sorted) top.emplace_back(term.written);
  return top;
}

int64_t CountOfWord(std::string_view text, std::string_view word) {
  if (word.empty()) return 0;
  const std::string lowered = Lowered(text);
  const std::string sought = Lowered(word);
  int64_t count = 0;
  for (size_t at = lowered.find(sought); at != std::string::npos; at = lowered.find(sought, at + 1)) {
    if (!WordEnds(lowered, at) && !WordBegins(lowered, at + sought.size())) ++count;
  }
  return count;
}

}  // namespace millrace::backend
