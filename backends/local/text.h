// The little that `local` knows of language: lines, sentences, and which words stand out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::backend {

// Lines that are not empty, without white space around them and without a leading `- ` or `* `.
std::vector<std::string_view> Lines(std::string_view text);

// The first sentence with so many characters, in one line; where none has, the first one, cut at `characters_max`.
std::string FittingSentence(std::string_view text, int64_t characters_min, int64_t characters_max);

// The most frequent words as first written, those first that come first where equal: at least three letters or digits,
// no English function words.
std::vector<std::string> TopTerms(std::string_view text, size_t terms_max);

// How often `word` stands in the text, without regard to (ASCII) case, not inside of another word.
int64_t CountOfWord(std::string_view text, std::string_view word);

}  // namespace millrace::backend
