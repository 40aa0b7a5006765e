// The words of a text in the form by which names are compared: letters without case and accents, and the gaps between
// words. In scripts without spaces (Chinese, Japanese, Thai, …) each character is a word, so that names are found there
// too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::rules {

// One word of a text. Words are compared by their folded letters (small, without accents).
struct Word {
  uint32_t begin = 0;  // bytes of the text
  uint32_t end = 0;
  uint32_t gap_begin = 0;  // in WordScan::folded: the gap before the word, then its folded letters
  uint32_t word_begin = 0;
  uint32_t word_end = 0;
};

// The words of one text. Reusable, so that the next text needs no new memory.
//
// A gap between words is kept as it is, except that any number of spaces, hyphens and dashes is one space, and all
// apostrophes are the same. So `Guinea-Bissau` is `Guinea Bissau`, while `U.S.` is not `US`.
struct WordScan {
  std::vector<Word> words;
  std::string folded;

  // Returns the folded word alone, and with the gap before it.
  std::string_view Key(const Word& word) const {
    return std::string_view(folded).substr(word.word_begin, word.word_end - word.word_begin);
  }
  std::string_view KeyWithGap(const Word& word) const {
    return std::string_view(folded).substr(word.gap_begin, word.word_end - word.gap_begin);
  }
};

// Scans `text`, UTF-8, into `scan`. Broken bytes are part of a gap.
void ScanWords(std::string_view text, WordScan& scan);

// Returns the words from `first` to `last` with their case, and the gaps between them in the form of WordScan.
std::string ExactName(std::string_view text, const WordScan& scan, size_t first, size_t last);

}  // namespace millrace::rules
