#include "tools/titles/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <set>
#include <string_view>
#include <vector>

#include "server/base/random.h"
#include "tools/titles/events.h"

namespace millrace::titles {
namespace {

constexpr int kDays = 30;
constexpr int kSizeMax = 60;
constexpr double kSingleShare = 0.16;    // titles without a family of several
constexpr double kFillerShare = 0.5;     // of these: titles about no event
constexpr double kTownShare = 0.65;      // families in a small town
constexpr double kOwnWordShare = 0.7;    // words that a family chooses once for all titles
constexpr double kNamedShare = 0.92;     // titles that contain a name of their event
constexpr double kNearMissShare = 0.15;  // families that resemble an earlier one

template <typename T>
const T& Pick(const std::vector<T>& values, Random& random) {
  return values[random.Below(values.size())];
}

// Names by which headlines may identify an event.
enum class Key { kCity, kSite, kPerson, kCompany };

// An event, as the values of its slots.
struct Event {
  const EventKind* kind = nullptr;
  const Country* country = nullptr;
  uint64_t voice = 0;  // seed of its word choices
  Key key = Key::kCity;
  Key second_key = Key::kSite;
  std::string city, site, region, person, person2, company, company2, thing;
  int first_day = 0;
  int n = 0;
  int m = 0;
};

struct Title {
  std::string text;
  std::string publisher;
  int day = 0;
  int family = 0;
  uint64_t order = 0;  // within a day
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {
    for (const EventKind& kind : EventKinds()) kind_draws_.insert(kind_draws_.end(), kind.frequency, &kind);
  }

  std::vector<Title> Generate(int count) {
    const int singles = static_cast<int>(count * kSingleShare);
    while (static_cast<int>(titles_.size()) < count - singles) {
      const int left = count - singles - static_cast<int>(titles_.size());
      AddFamily(MakeEvent(), std::min(left, DrawSize()));
    }
    while (static_cast<int>(titles_.size()) < count) {
      if (random_.Chance(kFillerShare)) {
        AddFiller();
      } else {
        AddFamily(MakeEvent(), 1);
      }
    }
    std::sort(titles_.begin(), titles_.end(), [](const Title& left, const Title& right) {
      return std::pair(left.day, left.order) < std::pair(right.day, right.order);
    });
    return std::move(titles_);
  }

 private:
  // Many small families and few large ones.
  int DrawSize() { return std::min(kSizeMax, static_cast<int>(4.0 / std::pow(1.0 - random_.Uniform(), 0.72))); }

  std::string Joined(const std::vector<std::string_view>& beginnings, const std::vector<std::string_view>& ends) {
    const std::string_view beginning = Pick(beginnings, random_);
    return fmt::format("{}{}", beginning, Pick(ends, random_));
  }

  std::string DrawPerson() {
    const std::string_view first = Pick(FirstNames(), random_);
    return fmt::format("{} {}", first, Joined(LastNameBeginnings(), LastNameEnds()));
  }
  std::string DrawCompany() {
    const std::string name = Joined(CompanyBeginnings(), CompanyEnds());
    return fmt::format("{} {}", name, Pick(CompanyTrades(), random_));
  }

  Event MakeEvent() {
    Event event;
    event.kind = Pick(kind_draws_, random_);
    event.country = &Pick(Countries(), random_);
    event.first_day = static_cast<int>(random_.Below(kDays - 2));
    const Event* model = !events_.empty() && random_.Chance(kNearMissShare) ? &Pick(events_, random_) : nullptr;
    if (model != nullptr) {
      event.kind = model->kind;
      event.country = model->country;
    }
    event.city = random_.Chance(kTownShare) ? Joined(TownBeginnings(), TownEnds())
                                            : std::string(Pick(event.country->cities, random_));
    if (model != nullptr && random_.Chance(0.4)) {
      // A similar event in the same city, later or earlier in the month.
      event.city = model->city;
      event.first_day = (model->first_day + 10 + static_cast<int>(random_.Below(9))) % (kDays - 2);
    }
    static const std::vector<std::string_view> sites = {"Bridge", "Valley", "Street",  "Harbour", "Hill", "Square",
                                                        "Road",   "Canal",  "Quarter", "Point",   "Park", "Station"};
    const std::string site = Joined(TownBeginnings(), TownEnds());
    event.site = fmt::format("{} {}", site, Pick(sites, random_));
    event.key = KeyOf(*event.kind);
    event.second_key = event.key != Key::kCity && random_.Chance(0.4) ? Key::kCity : Key::kSite;
    static const std::vector<std::string_view> quarters = {"the north", "the south", "the east", "the west", "central"};
    const std::string_view quarter = Pick(quarters, random_);
    const std::string_view country = Bare(event.country->name);
    event.region =
        quarter == "central" ? fmt::format("central {}", country) : fmt::format("{}ern {}", quarter.substr(4), country);
    event.person = DrawPerson();
    event.person2 = DrawPerson();
    event.company = DrawCompany();
    event.company2 = DrawCompany();
    event.thing = Pick(event.kind->things, random_);
    event.voice = random_.Next();
    event.n = 2 + static_cast<int>(random_.Below(static_cast<uint64_t>(event.kind->n_max)));
    event.m = 21 + static_cast<int>(random_.Below(70));
    events_.push_back(event);
    return event;
  }

  // The name that most headlines of a kind contain.
  static Key KeyOf(const EventKind& kind) {
    const auto count = [&](std::string_view slot) {
      return std::count_if(kind.tellings.begin(), kind.tellings.end(),
                           [&](std::string_view telling) { return telling.find(slot) != std::string_view::npos; });
    };
    const auto cities = count("<city>");
    const auto people = count("<person>");
    const auto companies = count("<company>");
    if (companies >= cities && companies >= people) return Key::kCompany;
    return people > cities ? Key::kPerson : Key::kCity;
  }

  static std::string_view Bare(std::string_view country) {
    return country.starts_with("the ") ? country.substr(4) : country;
  }

  void AddFamily(const Event& event, int size) {
    ++families_;
    std::set<std::string> told;
    const int span = 1 + static_cast<int>(random_.Below(static_cast<uint64_t>(std::min(6, 1 + size / 2))));
    for (int i = 0; i < size; ++i) {
      const int age = static_cast<int>(random_.Below(static_cast<uint64_t>(span)));
      std::string text = TellEvent(event, age, size);
      if (!told.insert(text).second && random_.Chance(0.5)) text = TellEvent(event, age, size);
      Add(std::move(text), std::min(kDays - 1, event.first_day + age));
    }
  }

  // A headline that names the event: most do, and the others mostly get the name as a prefix. A family uses only some
  // of its kind's headlines.
  std::string TellEvent(const Event& event, int age, int size) {
    const auto& tellings = event.kind->tellings;
    const uint64_t ways = std::min<uint64_t>(tellings.size(), 2 + static_cast<uint64_t>(size) / 5);
    const std::string_view telling = tellings[(event.voice + random_.Below(ways)) % tellings.size()];
    std::string text = WithSynonyms(Tell(telling, event, age), event);
    if (const size_t comma = text.find(", "); comma != std::string::npos && random_.Chance(0.4)) text.resize(comma);
    if (random_.Chance(kNamedShare)) Name(event.key, event, text);
    if (random_.Chance(kNamedShare)) Name(event.second_key, event, text);
    return text;
  }

  // Adds a name of the event to a headline that has none.
  void Name(Key key, const Event& event, std::string& text) {
    const auto has = [&](std::string_view name) { return text.find(name) != std::string::npos; };
    switch (key) {
      case Key::kCity:
        if (has(event.city)) return;
        text = random_.Chance(0.5) ? fmt::format("{} {}: {}", event.city, event.kind->name, text)
                                   : fmt::format("{} in {}", text, event.city);
        return;
      case Key::kSite:
        if (has(event.site.substr(0, event.site.find(' ')))) return;
        text =
            random_.Chance(0.5) ? fmt::format("{}: {}", event.site, text) : fmt::format("{} near {}", text, event.site);
        return;
      case Key::kPerson:
        if (has(LastNameOf(event.person))) return;
        text = random_.Chance(0.5) ? fmt::format("{}: {}", LastNameOf(event.person), text)
                                   : fmt::format("{}, says {}", text, event.person);
        return;
      case Key::kCompany:
        if (has(event.company.substr(0, event.company.find(' ')))) return;
        text = fmt::format("{} - {}", text, event.company);
        return;
    }
  }

  static std::string LastNameOf(const std::string& person) { return person.substr(person.find(' ') + 1); }

  // Replaces some words by others with the same meaning.
  std::string WithSynonyms(const std::string& text, const Event& event) {
    std::string changed;
    for (size_t at = 0; at < text.size();) {
      if (!IsLetter(text[at])) {
        changed.push_back(text[at++]);
        continue;
      }
      size_t end = at;
      while (end < text.size() && IsLetter(text[end])) ++end;
      changed += Synonym(std::string_view(text).substr(at, end - at), event);
      at = end;
    }
    return changed;
  }

  std::string_view Synonym(std::string_view word, const Event& event) {
    for (const std::vector<std::string_view>& group : Synonyms()) {
      if (group[0] == word) return group[Choose(group.size(), word, event)];
    }
    return word;
  }

  // Chooses one of `count`, mostly the one that this family prefers at this place.
  uint64_t Choose(uint64_t count, std::string_view place, const Event& event) {
    if (!random_.Chance(kOwnWordShare)) return random_.Below(count);
    uint64_t mixed = event.voice;
    for (const char c : place) mixed = (mixed ^ static_cast<unsigned char>(c)) * 0x100000001b3u;  // FNV-1a
    return (mixed >> 17) % count;
  }

  static bool IsLetter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

  void AddFiller() {
    ++families_;
    Event event = MakeEvent();
    Add(Tell(Pick(Fillers(), random_), event, 0), static_cast<int>(random_.Below(kDays)));
  }

  void Add(std::string text, int day) {
    Title title;
    title.text = Decorate(std::move(text));
    title.publisher = Pick(Publishers(), random_);
    title.day = day;
    title.family = families_;
    title.order = random_.Next();
    titles_.push_back(std::move(title));
  }

  // Fills the slots of a headline.
  std::string Tell(std::string_view telling, const Event& event, int age) {
    std::string text;
    for (size_t at = 0; at < telling.size();) {
      if (telling[at] == '{') {
        const size_t end = telling.find('}', at);
        text += Tell(Alternative(telling.substr(at + 1, end - at - 1), event), event, age);
        at = end + 1;
      } else if (telling[at] == '<') {
        const size_t end = telling.find('>', at);
        text += Slot(telling.substr(at + 1, end - at - 1), event, age);
        at = end + 1;
      } else {
        text.push_back(telling[at++]);
      }
    }
    return text;
  }

  std::string_view Alternative(std::string_view alternatives, const Event& event) {
    const auto bars = static_cast<uint64_t>(std::count(alternatives.begin(), alternatives.end(), '|'));
    for (uint64_t skip = Choose(bars + 1, alternatives, event); skip > 0; --skip) {
      alternatives.remove_prefix(alternatives.find('|') + 1);
    }
    return alternatives.substr(0, alternatives.find('|'));
  }

  std::string Slot(std::string_view slot, const Event& event, int age) {
    if (slot == "city") return event.city;
    if (slot == "country") return std::string(event.country->name);
    if (slot == "demonym") return std::string(event.country->demonym);
    if (slot == "region") return event.region;
    // Later titles often omit the first name.
    if (slot == "person") return random_.Chance(0.35) ? event.person.substr(event.person.find(' ') + 1) : event.person;
    if (slot == "person2") return event.person2;
    if (slot == "company")
      return random_.Chance(0.4) ? event.company.substr(0, event.company.find(' ')) : event.company;
    if (slot == "company2") return event.company2;
    if (slot == "thing") return event.thing;
    if (slot == "n") return std::to_string(event.n + event.n * age / 4);
    return std::to_string(event.m);
  }

  // Decorates a headline as publishers do.
  std::string Decorate(std::string text) {
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    if (random_.Chance(0.15)) {
      for (size_t i = 1; i < text.size(); ++i) {
        if (text[i - 1] == ' ') text[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[i])));
      }
    }
    static const std::vector<std::string_view> before = {"BREAKING: ", "Update: ", "Live: ", "Watch: "};
    static const std::vector<std::string_view> after = {" - live updates", " (video)", ", officials say", " - reports",
                                                        ": as it happened"};
    if (random_.Chance(0.05)) text = std::string(Pick(before, random_)) + text;
    if (random_.Chance(0.08)) text += Pick(after, random_);
    return text;
  }

  Random random_;
  std::vector<const EventKind*> kind_draws_;
  std::vector<Event> events_;
  std::vector<Title> titles_;
  int families_ = 0;
};

std::string Quoted(std::string_view text) {
  if (text.find_first_of(",\"") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + '"';
}

std::string DateOf(int day) {
  const std::chrono::sys_days first = std::chrono::year(2025) / 3 / 1;
  const std::chrono::year_month_day date(first + std::chrono::days(day));
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

}  // namespace

GeneratedTitles GenerateTitles(uint64_t seed, int count) {
  GeneratedTitles generated;
  generated.titles = "id,title,date,publisher\n";
  generated.truth = "id,family\n";
  int number = 0;
  for (const Title& title : Generator(seed).Generate(count)) {
    const std::string id = fmt::format("t{:05}", ++number);
    generated.titles +=
        fmt::format("{},{},{},{}\n", id, Quoted(title.text), DateOf(title.day), Quoted(title.publisher));
    generated.truth += fmt::format("{},F{:04}\n", id, title.family);
  }
  return generated;
}

}  // namespace millrace::titles
