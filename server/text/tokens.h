// Text into words: folded by Unicode's rules, so that "São", "SAO" and "sao" are one word, with what their case and
// place say about whether they are names. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// What the writing of a word says about it being a name.
enum class NameEvidence : uint8_t {
  kNone,    // nothing: at the start of a sentence, or in a headline where every word has a capital
  kCommon,  // lower case
  kName,    // a capital inside a sentence
};

// One word.
struct Token {
  std::string text;  // folded: no case, no accents, no apostrophes, no possessive ending
  NameEvidence evidence = NameEvidence::kNone;
  bool number = false;   // has a digit
  bool acronym = false;  // all capitals among words that are not: `WHO` is no `who`
  bool joined = false;   // follows the word before it with nothing but spaces or a hyphen between
};

// The words of a text, in order, at most `max_tokens` of them (0: all). Letters, digits and marks make words; an
// apostrophe inside a word belongs to it, as do the dots of `U.S.`, the comma of `1,000` and the hyphen of `COVID-19`.
// Scripts without spaces (Han, Kana, Thai …) give overlapping pairs of characters. Broken UTF-8 separates words.
std::vector<Token> Tokenize(std::string_view text, size_t max_tokens = 0);

// The folded form of one word.
std::string FoldWord(std::string_view word);

}  // namespace millrace
