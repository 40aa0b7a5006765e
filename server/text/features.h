// Documents as sparse vectors of weighted words (TF-IDF): the compact form in which items are compared. A corpus is
// filled in order and then weighed once, for a word's weight depends on how many documents have it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace {

// A piece of a document.
struct TextPart {
  std::string_view text;
  double weight = 1;
  size_t max_words = 0;  // only so many from the beginning; 0: all
  bool whole = false;    // one feature, not words: an entry of a list
};

struct FeatureOptions {
  double max_document_share = 1;  // words in more than this share of the documents are left out
  double pair_weight = 0;         // of pairs of words that follow each other, over words; 0: no pairs
  double name_weight = 1;         // of names and numbers over other words
  double max_rarity = 0;          // largest logarithm in a word's weight; 0: no limit
  double short_text_words = 0;    // makes up for short texts; see Weigh
};

// One feature of a document.
struct Feature {
  uint32_t term = 0;
  float weight = 0;
};

// Documents' features, one after the other; each document's are in order of term.
class Vectors {
 public:
  size_t size() const { return ends_.size(); }
  // From a pair of pointers, as a range.
  struct Range {
    const Feature* first;
    const Feature* last;
    const Feature* begin() const { return first; }
    const Feature* end() const { return last; }
    size_t size() const { return static_cast<size_t>(last - first); }
  };
  Range operator[](size_t document) const {
    const size_t begin = document == 0 ? 0 : ends_[document - 1];
    return {features_.data() + begin, features_.data() + ends_[document]};
  }
  void Add(const std::vector<Feature>& features);
  size_t bytes() const { return features_.capacity() * sizeof(Feature) + ends_.capacity() * sizeof(size_t); }
  size_t features() const { return features_.size(); }
  // One more than the largest term.
  size_t terms() const { return terms_; }

 private:
  std::vector<Feature> features_;
  std::vector<size_t> ends_;
  size_t terms_ = 0;
};

// The dot product: of vectors of unit length, their cosine.
double Dot(Vectors::Range left, Vectors::Range right);

// Documents, and the words that they are made of. Terms are numbered as they come, so that the same documents in the
// same order give the same numbers.
class Corpus {
 public:
  explicit Corpus(FeatureOptions options) : options_(options) {}

  // Takes the next document.
  void Add(const std::vector<TextPart>& parts);

  size_t size() const { return counts_.size(); }
  // Features of all documents together.
  size_t features() const { return counts_.features(); }
  // Bytes that it holds, about.
  size_t bytes() const;

  // The vectors: (1 + ln count) · ln(1 + documents / documents with the term), brought to unit length, and then to
  // √(1 + short_text_words / n) for a document of n different words. Two samples of n words out of one distribution
  // have an expected cosine of about 1 / (1 + w/n), with w the number of words that it effectively has: dividing by it
  // makes similarities of headlines and of articles comparable. A document without any telling word has no features.
  Vectors Weigh() const;

  // How a term was written where it first stood, folded; a pair has a space.
  const std::string& Writing(uint32_t term) const { return terms_[term].writing; }
  // Whether it is a pair of words.
  bool IsPair(uint32_t term) const { return terms_[term].pair; }

 private:
  struct Term {
    std::string writing;
    uint32_t documents = 0;  // that have it
    uint32_t common = 0;     // times in lower case
    uint32_t name = 0;       // times with a capital inside a sentence
    bool number = false;
    bool pair = false;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  uint32_t Intern(std::string_view stem, std::string_view writing);
  void AddWords(const TextPart& part, std::vector<Feature>& counts);
  void AddWhole(const TextPart& part, std::vector<Feature>& counts);
  double WeightOf(const Term& term) const;

  FeatureOptions options_;
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> numbers_;  // only looked up, never walked through
  std::vector<Term> terms_;
  Vectors counts_;         // weighted counts
  size_t text_bytes_ = 0;  // of stems and writings
};

}  // namespace millrace
