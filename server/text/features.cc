#include "server/text/features.h"

#include <algorithm>
#include <cmath>

#include "server/text/stem.h"
#include "server/text/stop_words.h"
#include "server/text/tokens.h"

namespace millrace {
namespace {

// Bytes of a term beside its letters: its entry, the node of the hash map, two strings.
constexpr size_t kTermBytes = 160;

bool IsTelling(const Token& token) {
  if (!token.acronym && IsStopWord(token.text)) return false;
  const bool single = token.text.size() == 1 && static_cast<unsigned char>(token.text[0]) < 0x80;
  return !single || token.number;
}

// Merges equal terms from `begin` on. The sum is sublinear, because the fifth mention of a word adds little.
void Gather(std::vector<Feature>& counts, size_t begin) {
  std::sort(counts.begin() + static_cast<std::ptrdiff_t>(begin), counts.end(),
            [](const Feature& a, const Feature& b) { return a.term < b.term; });
  size_t out = begin;
  for (size_t i = begin; i < counts.size();) {
    size_t next = i;
    while (next < counts.size() && counts[next].term == counts[i].term) ++next;
    counts[out] = counts[i];
    counts[out].weight *= 1 + std::log(static_cast<float>(next - i));
    ++out;
    i = next;
  }
  counts.resize(out);
}

// Adds the weights that a term has in different parts.
void Sum(std::vector<Feature>& counts) {
  std::stable_sort(counts.begin(), counts.end(), [](const Feature& a, const Feature& b) { return a.term < b.term; });
  size_t out = 0;
  for (const Feature& feature : counts) {
    if (out > 0 && counts[out - 1].term == feature.term) {
      counts[out - 1].weight += feature.weight;
    } else {
      counts[out++] = feature;
    }
  }
  counts.resize(out);
}

}  // namespace

void Vectors::Add(const std::vector<Feature>& features) {
  features_.insert(features_.end(), features.begin(), features.end());
  ends_.push_back(features_.size());
  if (!features.empty()) terms_ = std::max(terms_, static_cast<size_t>(features.back().term) + 1);
}

double Dot(Vectors::Range left, Vectors::Range right) {
  double sum = 0;
  const Feature* a = left.first;
  const Feature* b = right.first;
  while (a != left.last && b != right.last) {
    if (a->term == b->term) {
      sum += static_cast<double>(a->weight) * b->weight;
      ++a;
      ++b;
    } else if (a->term < b->term) {
      ++a;
    } else {
      ++b;
    }
  }
  return sum;
}

uint32_t Corpus::Intern(std::string_view stem, std::string_view writing) {
  if (const auto found = numbers_.find(stem); found != numbers_.end()) return found->second;
  const auto number = static_cast<uint32_t>(terms_.size());
  numbers_.emplace(std::string(stem), number);
  Term term;
  term.writing = std::string(writing);
  terms_.push_back(std::move(term));
  text_bytes_ += stem.size() + writing.size();
  return number;
}

void Corpus::AddWords(const TextPart& part, std::vector<Feature>& counts) {
  const size_t begin = counts.size();
  std::string last_stem;
  std::string last_writing;
  bool follows = false;  // the previous word counts
  for (const Token& token : Tokenize(part.text, part.max_words)) {
    if (!IsTelling(token)) {
      follows = false;
      continue;
    }
    const std::string stem = token.acronym ? token.text : Stem(token.text);
    const uint32_t number = Intern(stem, token.text);
    Term& term = terms_[number];
    term.number = token.number;
    term.common += token.evidence == NameEvidence::kCommon ? 1 : 0;
    term.name += token.evidence == NameEvidence::kName ? 1 : 0;
    counts.push_back({number, static_cast<float>(part.weight)});
    if (options_.pair_weight > 0 && follows && token.joined) {
      const uint32_t pair = Intern(last_stem + " " + stem, last_writing + " " + token.text);
      terms_[pair].pair = true;
      counts.push_back({pair, static_cast<float>(part.weight)});
    }
    follows = true;
    last_stem = stem;
    last_writing = token.text;
  }
  Gather(counts, begin);
}

void Corpus::AddWhole(const TextPart& part, std::vector<Feature>& counts) {
  std::string stems;
  std::string writing;
  for (const Token& token : Tokenize(part.text, part.max_words)) {
    if (!stems.empty()) {
      stems += ' ';
      writing += ' ';
    }
    stems += token.acronym ? token.text : Stem(token.text);
    writing += token.text;
  }
  if (!stems.empty()) counts.push_back({Intern(stems, writing), static_cast<float>(part.weight)});
}

void Corpus::Add(const std::vector<TextPart>& parts) {
  std::vector<Feature> counts;
  for (const TextPart& part : parts) {
    if (part.weight <= 0) continue;
    if (part.whole) {
      AddWhole(part, counts);
    } else {
      AddWords(part, counts);
    }
  }
  Sum(counts);
  for (const Feature& feature : counts) ++terms_[feature.term].documents;
  counts_.Add(counts);
}

size_t Corpus::bytes() const { return counts_.bytes() + terms_.size() * kTermBytes + text_bytes_; }

double Corpus::WeightOf(const Term& term) const {
  const auto documents = static_cast<double>(size());
  // A word of at most 3 documents is never too frequent, even in a corpus of few documents.
  const bool frequent = term.documents > 3 && term.documents > options_.max_document_share * documents;
  if (frequent || term.documents == 0) return 0;
  double weight = std::log(1 + documents / term.documents);
  if (options_.max_rarity > 0) weight = std::min(weight, options_.max_rarity);
  if (term.pair) return weight * options_.pair_weight;
  return term.number || term.name > term.common ? weight * options_.name_weight : weight;
}

Vectors Corpus::Weigh() const {
  std::vector<float> weights;
  weights.reserve(terms_.size());
  for (const Term& term : terms_) weights.push_back(static_cast<float>(WeightOf(term)));
  Vectors vectors;
  std::vector<Feature> features;
  for (size_t document = 0; document < size(); ++document) {
    features.clear();
    double norm = 0;
    double words = 0;
    for (const Feature& count : counts_[document]) {
      const float weight = count.weight * weights[count.term];
      if (weight <= 0) continue;
      norm += static_cast<double>(weight) * weight;
      words += terms_[count.term].pair ? 0 : 1;
      features.push_back({count.term, weight});
    }
    // A document of one word is scaled as one of two, because one word says too little.
    const double length = std::sqrt(1 + options_.short_text_words / std::max(words, 2.0));
    const auto scale = static_cast<float>(length / std::sqrt(norm));
    for (Feature& feature : features) feature.weight *= scale;
    vectors.Add(features);
  }
  return vectors;
}

}  // namespace millrace
