#include "server/text/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace millrace {
namespace {

Corpus CorpusOf(const std::vector<std::string>& texts, FeatureOptions options = {}) {
  Corpus corpus(options);
  for (const std::string& text : texts) corpus.Add({{text}});
  return corpus;
}

double Cosine(const Vectors& vectors, size_t a, size_t b) { return Dot(vectors[a], vectors[b]); }

TEST(FeaturesTest, VectorsOfUnitLengthMakeTheDotProductACosine) {
  const Vectors vectors = CorpusOf({"floods in Jakarta", "Jakarta flooded", "chess"}).Weigh();
  EXPECT_NEAR(Cosine(vectors, 0, 0), 1, 1e-6);
  EXPECT_NEAR(Cosine(vectors, 0, 1), 1, 1e-6);  // equal stems
  EXPECT_EQ(Cosine(vectors, 0, 2), 0);
}

TEST(FeaturesTest, RareWordsWeighMoreUpToTheLimit) {
  std::vector<std::string> texts(20, "report");
  texts[0] = "report volcano";
  const auto share = [&](double limit) {
    const Vectors vectors = CorpusOf(texts, {.max_rarity = limit}).Weigh();
    return Cosine(vectors, 0, 1);
  };
  EXPECT_LT(share(0), share(1));
  EXPECT_NEAR(share(0), std::log(2.0) / std::hypot(std::log(2.0), std::log(21.0)), 1e-5);
}

TEST(FeaturesTest, DropsWordsThatAreTooFrequent) {
  const Vectors vectors =
      CorpusOf({"alpha one1", "alpha two2", "alpha three3", "alpha four4"}, {.max_document_share = 0.5}).Weigh();
  EXPECT_EQ(Cosine(vectors, 0, 1), 0);
}

TEST(FeaturesTest, NamesWeighMoreAtAnyPosition) {
  const std::vector<std::string> texts = {"soldiers arrest Keita in the night", "Keita sleeps", "soldiers sleep"};
  const Vectors plain = CorpusOf(texts).Weigh();
  const Vectors named = CorpusOf(texts, {.name_weight = 3}).Weigh();
  EXPECT_GT(Cosine(named, 0, 1), Cosine(plain, 0, 1));
  EXPECT_LT(Cosine(named, 0, 2), Cosine(plain, 0, 2));
}

TEST(FeaturesTest, PairsOfWordsDistinguishTheirOrder) {
  const std::vector<std::string> texts = {"dog bites man", "man bites dog", "dog bites man"};
  const Vectors words = CorpusOf(texts).Weigh();
  EXPECT_NEAR(Cosine(words, 0, 1), 1, 1e-6);
  const Vectors pairs = CorpusOf(texts, {.pair_weight = 1}).Weigh();
  EXPECT_LT(Cosine(pairs, 0, 1), 0.7);
  EXPECT_NEAR(Cosine(pairs, 0, 2), 1, 1e-6);
}

TEST(FeaturesTest, ShortTextsAreScaledUp) {
  const Vectors vectors = CorpusOf({"alpha beta", "alpha gamma delta epsilon"}, {.short_text_words = 6}).Weigh();
  EXPECT_NEAR(Cosine(vectors, 0, 0), 1 + 6 / 2.0, 1e-5);
  EXPECT_NEAR(Cosine(vectors, 1, 1), 1 + 6 / 4.0, 1e-5);
}

TEST(FeaturesTest, EntriesOfListsAreOneFeature) {
  Corpus corpus(FeatureOptions{});
  corpus.Add({{.text = "White House", .whole = true}});
  corpus.Add({{.text = "white houses", .whole = true}});
  corpus.Add({{.text = "house"}});
  const Vectors vectors = corpus.Weigh();
  EXPECT_NEAR(Cosine(vectors, 0, 1), 1, 1e-6);
  EXPECT_EQ(Cosine(vectors, 0, 2), 0);
}

TEST(FeaturesTest, CountsOnlyTheFirstWordsUpToTheLimit) {
  Corpus corpus(FeatureOptions{});
  corpus.Add({{.text = "alpha beta gamma", .max_words = 2}});
  corpus.Add({{.text = "gamma"}});
  EXPECT_EQ(Cosine(corpus.Weigh(), 0, 1), 0);
}

TEST(FeaturesTest, DocumentsWithoutWordsHaveNoFeatures) {
  const Vectors vectors = CorpusOf({"", "the of", "alpha"}).Weigh();
  EXPECT_EQ(vectors[0].size(), 0u);
  EXPECT_EQ(vectors[1].size(), 0u);
  EXPECT_EQ(vectors[2].size(), 1u);
}

}  // namespace
}  // namespace millrace
