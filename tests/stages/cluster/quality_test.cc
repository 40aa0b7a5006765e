// Titles out of a seeded generator, whose true groups are known, through the stage with the parameters of news-events:
// the least agreement that it must have, so that a change that spoils it is seen where no labelled set is at hand.
#include <fmt/format.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/base/random.h"
#include "server/stages/cluster/cluster.h"
#include "tests/stages/barrier.h"
#include "tools/agreement/scores.h"

namespace millrace {
namespace {

const char kNewsEvents[] = R"pb(
  lexical {
    fields { field: "title" }
    fields { field: "text" weight: 1 max_words: 300 }
    name_weight: 2.2
    pair_weight: 0.4
    cohesion: 0.1
    short_text_words: 6
  }
  time_field: "date"
  time_window { seconds: 1209600 }
  half_life { seconds: 86400 }
  passes { threshold: 0.3 }
  passes { threshold: 0.24 min_size: 2 }
)pb";

struct Titles {
  std::vector<json::object> items;
  std::vector<std::string> truth;
};

// A word that is in no dictionary, pronounceable so that it is treated as one.
std::string Word(Random& random) {
  constexpr std::string_view kHeads = "bdfgklmnprtvz";
  constexpr std::string_view kVowels = "aeiou";
  std::string word;
  for (int i = 0; i < 3; ++i) {
    word.push_back(kHeads[random.Below(kHeads.size())]);
    word.push_back(kVowels[random.Below(kVowels.size())]);
  }
  return word + "n";
}

std::string Capital(std::string word) {
  word[0] = static_cast<char>(word[0] - 'a' + 'A');
  return word;
}

template <typename T>
const T& OneOf(const std::vector<T>& values, Random& random) {
  return values[random.Below(values.size())];
}

// Events have a person, a place and what happens, out of kinds that many events share; a title tells some of it in its
// own order among words that mean nothing, some days after the event began.
Titles Draw(uint64_t seed, int events) {
  Random random(seed);
  std::vector<std::vector<std::string>> kinds;
  for (int i = 0; i < 12; ++i) kinds.push_back({Word(random), Word(random), Word(random), Word(random)});
  std::vector<std::string> fillers;
  for (int i = 0; i < 400; ++i) fillers.push_back(Word(random));
  std::vector<std::string> places;
  for (int i = 0; i < 40; ++i) places.push_back(Capital(Word(random)));
  Titles titles;
  for (int event = 0; event < events; ++event) {
    const std::vector<std::string>& kind = OneOf(kinds, random);
    const std::string& place = OneOf(places, random);
    const std::string person = Capital(Word(random));
    const std::string thing = Word(random);
    const auto day = static_cast<int64_t>(random.Below(300));
    const size_t size = random.Chance(0.4) ? 1 : 2 + random.Below(12);
    for (size_t i = 0; i < size; ++i) {
      std::vector<std::string> words = {OneOf(kind, random), OneOf(kind, random), OneOf(fillers, random),
                                        OneOf(fillers, random), OneOf(fillers, random)};
      if (random.Chance(0.85)) words.push_back(place);
      if (random.Chance(0.75)) words.push_back(person);
      if (random.Chance(0.7)) words.push_back(thing);
      for (size_t at = words.size(); at > 1; --at) std::swap(words[at - 1], words[random.Below(at)]);
      std::string title = "the";
      for (const std::string& word : words) title += " " + word;
      json::object item;
      item["id"] = fmt::format("e{}-{}", event, i);
      item["title"] = title;
      item["date"] = (18000 + day + static_cast<int64_t>(random.Below(4))) * 86'400'000;
      titles.items.push_back(std::move(item));
      titles.truth.push_back(fmt::format("{}", event));
    }
  }
  // In no order of their events.
  for (size_t at = titles.items.size(); at > 1; --at) {
    const size_t other = random.Below(at);
    std::swap(titles.items[at - 1], titles.items[other]);
    std::swap(titles.truth[at - 1], titles.truth[other]);
  }
  return titles;
}

Scores Measured(const Titles& titles) {
  v1::Stage stage;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kNewsEvents, stage.mutable_cluster()));
  const StatusOr<std::vector<StageItem>> results = RunBarrier(ClusterKind(), stage, ItemsOf(titles.items), 1000);
  EXPECT_TRUE(results.ok());
  std::map<std::string, std::string> group_of;
  for (const StageItem& result : *results) {
    for (const std::string& id : result.input_ids) group_of[id] = result.id;
  }
  std::vector<std::string> found;
  for (const json::object& item : titles.items) {
    const std::string id(item.at("id").as_string());
    found.push_back(group_of.contains(id) ? group_of[id] : id);
  }
  return ScoresOf(LabelsOf(found), LabelsOf(titles.truth));
}

TEST(ClusterQualityTest, FindsMostOfTheEventsThatDrawnTitlesTellOf) {
  for (const uint64_t seed : {1, 2, 3}) {
    const Scores scores = Measured(Draw(seed, 300));
    EXPECT_GE(scores.f1, 0.85) << seed;
    EXPECT_GE(scores.precision, 0.9) << seed;
    EXPECT_GE(scores.pairwise_f1, 0.8) << seed;
    EXPECT_GE(scores.matched * 10, scores.truth * 8) << seed;
  }
}

}  // namespace
}  // namespace millrace
