// Splits text into words. Words are folded by Unicode's rules, so that "São", "SAO" and "sao" are one word; their case
// and position give evidence of names. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// Evidence, from a word's capitals, that it is a name.
enum class NameEvidence : uint8_t {
  kNone,    // none: the word begins a sentence, or is in a headline whose words all have capitals
  kCommon,  // lower case
  kName,    // a capital inside a sentence
};

// One word.
struct Token {
  std::string text;  // folded: no case, no accents, no apostrophes, no possessive ending
  NameEvidence evidence = NameEvidence::kNone;
  bool number = false;   // has a digit
  bool acronym = false;  // all capitals among words that are not, so that `WHO` differs from `who`
  bool joined = false;   // only spaces or a hyphen separate it from the previous word
};

// Returns the words of a text in order, at most `max_tokens` of them (0: all). Words are made of letters, digits and
// marks; an apostrophe inside a word belongs to it, as do the dots of `U.S.`, the comma of `1,000` and the hyphen of
// `COVID-19`. Scripts without spaces (Han, Kana, Thai …) give overlapping pairs of characters. Broken UTF-8 separates
// words.
std::vector<Token> Tokenize(std::string_view text, size_t max_tokens = 0);

// Returns the folded form of one word.
std::string FoldWord(std::string_view word);

}  // namespace millrace
