#include "backends/local/text.h"

#include <algorithm>
#include <array>
#include <map>

#include "backends/sdk/schema.h"

namespace millrace::backend {
namespace {

// Sorted.
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

bool IsWordByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
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

}  // namespace

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line = Trimmed(line);
    if (line.starts_with("- ") || line.starts_with("* ")) line = Trimmed(line.substr(2));
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

std::string FirstSentence(std::string_view text, int64_t characters_max) {
  std::string sentence;
  text = Trimmed(text);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (IsSpace(c)) {
      if (text.substr(i).starts_with("\n\n")) break;
      if (!sentence.ends_with(' ')) sentence += ' ';
      continue;
    }
    sentence += c;
    const bool ends = i + 1 == text.size() || IsSpace(text[i + 1]);
    if (ends && (c == '.' || c == '!' || c == '?')) break;
  }
  return CutAt(sentence, characters_max);
}

std::vector<std::string> TopTerms(std::string_view text, size_t terms_max) {
  struct Term {
    std::string_view written;
    int64_t count = 0;
    size_t place = 0;
  };
  std::map<std::string, Term> terms;
  for (size_t i = 0; i < text.size();) {
    if (!IsWordByte(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < text.size() && IsWordByte(text[i])) ++i;
    const std::string_view word = text.substr(begin, i - begin);
    if (word.size() < 3) continue;
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
    const bool begins = at == 0 || !IsWordByte(lowered[at - 1]);
    const size_t end = at + sought.size();
    const bool ends = end == lowered.size() || !IsWordByte(lowered[end]);
    if (begins && ends) ++count;
  }
  return count;
}

}  // namespace millrace::backend
