// The words of a text, as names are compared: letters without case and accents, and what stands between them. In
// writings without spaces (Chinese, Japanese, Thai, …) each character is a word of its own, so that names are found
// there too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// One word of a text. `key` is what words are compared by: its folded letters (small, without accents).
struct Word {
  uint32_t begin = 0;  // bytes of the text
  uint32_t end = 0;
  uint32_t gap_begin = 0;  // of WordScan::folded: what stands before the word, then its folded letters
  uint32_t word_begin = 0;
  uint32_t word_end = 0;
};

// The words of one text. A value that can be used again, so that no memory is allocated for the next text.
//
// What stands between two words is kept as it is, but: spaces, hyphens and dashes, however many, are one space, and all
// apostrophes are one. So `Guinea-Bissau` is `Guinea Bissau`, while `U.S.` is not `US`.
struct WordScan {
  std::vector<Word> words;
  std::string folded;

  // The folded word alone, and with what stands before it.
  std::string_view Key(const Word& word) const {
    return std::string_view(folded).substr(word.word_begin, word.word_end - word.word_begin);
  }
  std::string_view KeyWithGap(const Word& word) const {
    return std::string_view(folded).substr(word.gap_begin, word.word_end - word.gap_begin);
  }
};

// Scans `text`, which is UTF-8 (broken bytes stand between words), into `scan`.
void ScanWords(std::string_view text, WordScan& scan);

// The words from `first` to `last` of a scan with their case, and what stands between them as names are compared.
std::string ExactName(std::string_view text, const WordScan& scan, size_t first, size_t last);

}  // namespace millrace
