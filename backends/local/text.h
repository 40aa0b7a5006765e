// Simple text analysis for `local`: lines, sentences and frequent words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::backend {

// Returns the lines that are not empty, without surrounding white space and without a leading `- ` or `* `.
std::vector<std::string_view> Lines(std::string_view text);

// Returns, on one line, the first sentence whose length is in the range; if there is none, the first sentence, cut at
// `characters_max`.
std::string FittingSentence(std::string_view text, int64_t characters_min, int64_t characters_max);

// Returns the most frequent words as they are first written; equally frequent words stay in text order. Words have at
// least three letters or digits and are not English function words.
std::vector<std::string> TopTerms(std::string_view text, size_t terms_max);

// Counts `word` in the text, ignoring ASCII case, and not inside another word.
int64_t CountOfWord(std::string_view text, std::string_view word);

}  // namespace millrace::backend
