// Documents as sparse vectors of weighted words (TF-IDF), the compact form in which items are compared. A corpus takes
// all documents and is then weighed once, because the weight of a word depends on the number of documents that have it.
// Pure functions of their inputs; each object for one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace {

// One part of a document, such as its title.
struct TextPart {
  std::string_view text;
  double weight = 1;     // factor of its words; 0: the part is ignored
  size_t max_words = 0;  // number of words that count, from the beginning; 0: all
  bool whole = false;    // the text is one feature and is not split into words; for an entry of a list
};

struct FeatureOptions {
  double max_document_share = 1;  // words in more than this share of the documents, and more than 3, have weight 0
  double pair_weight = 0;         // factor of two adjacent words over one word; 0: no pairs
  double name_weight = 1;         // factor of names and numbers over other words
  double max_rarity = 0;          // largest logarithm in the weight of a word; 0: no limit
  double short_text_words = 0;    // compensation for short texts, see Weigh; 0: none
};

// One feature of a document: a term and its weight there.
struct Feature {
  uint32_t term = 0;
  float weight = 0;
};

// Features of documents, by document and within a document by term. Compact: 8 bytes for each feature and document.
class Vectors {
 public:
  // Returns the number of documents.
  size_t size() const { return ends_.size(); }
  // Features of one document, valid until the next Add.
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
  // Adds the next document. REQUIRES: `features` are sorted by term, each term at most once.
  void Add(const std::vector<Feature>& features);
  size_t bytes() const { return features_.capacity() * sizeof(Feature) + ends_.capacity() * sizeof(size_t); }
  size_t features() const { return features_.size(); }
  // Returns one more than the largest term; 0 without features.
  size_t terms() const { return terms_; }

 private:
  std::vector<Feature> features_;
  std::vector<size_t> ends_;
  size_t terms_ = 0;
};

// Returns the dot product, which is the cosine if both vectors have unit length. Linear in the number of features.
double Dot(Vectors::Range left, Vectors::Range right);

// Documents and the words in them. Terms are numbered in the order of their first occurrence, so that equal documents
// in equal order give equal numbers.
class Corpus {
 public:
  explicit Corpus(FeatureOptions options) : options_(options) {}

  // Adds the next document.
  void Add(const std::vector<TextPart>& parts);

  // Returns the number of documents.
  size_t size() const { return counts_.size(); }
  // Returns the number of features of all documents together.
  size_t features() const { return counts_.features(); }
  // Returns the approximate number of bytes in memory.
  size_t bytes() const;

  // Returns the vectors of the documents. A feature has the weight (1 + ln count) · ln(1 + documents / documents with
  // the term). The vector is scaled to unit length, and then to √(1 + short_text_words / n) for a document of n
  // different words: two samples of n words out of one distribution have an expected cosine of about 1 / (1 + w/n),
  // with w the effective number of words of the distribution, and division by it makes similarities of headlines and of
  // articles comparable. A document of stop words alone has no features.
  Vectors Weigh() const;

  // Returns the folded spelling of a term's first occurrence; a pair has a space.
  const std::string& Writing(uint32_t term) const { return terms_[term].writing; }
  // Returns true if the term is a pair of words.
  bool IsPair(uint32_t term) const { return terms_[term].pair; }

 private:
  struct Term {
    std::string writing;
    uint32_t documents = 0;  // number of documents with the term
    uint32_t common = 0;     // occurrences in lower case
    uint32_t name = 0;       // occurrences with a capital inside a sentence
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
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>>
      numbers_;  // terms by stem; never iterated, as its order is not fixed
  std::vector<Term> terms_;
  Vectors counts_;         // weighted counts of terms
  size_t text_bytes_ = 0;  // bytes of stems and spellings
};

}  // namespace millrace
