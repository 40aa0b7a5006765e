// What the demo's invented news are about: kinds of events, each told in several ways, and the names that stand in
// them. Places are real, people, companies and storms are not.
//
// A telling has slots. `<x>` is the same in all titles of a family: city, country, demonym, region, person, person2,
// company, company2, thing (of the event's own list), n (a number that grows from day to day), m (one that does not).
// `{a|b|c}` is chosen anew for every title.
#pragma once

#include <string_view>
#include <vector>

namespace millrace::titles {

struct EventKind {
  std::string_view name;  // a word that headlines call it by
  int frequency;          // how often it is drawn, beside the others
  int n_max;              // `n` is from 2 to this
  std::vector<std::string_view> things;
  std::vector<std::string_view> tellings;
};

struct Country {
  std::string_view name;
  std::string_view demonym;
  std::vector<std::string_view> cities;
};

const std::vector<EventKind>& EventKinds();
// Tellings of titles that belong to nothing: weather, lists, opinion.
const std::vector<std::string_view>& Fillers();
const std::vector<Country>& Countries();
// Words that mean about the same in a headline: the first of each may be changed for the others.
const std::vector<std::vector<std::string_view>>& Synonyms();
// Names are made of a beginning and an end.
const std::vector<std::string_view>& FirstNames();
const std::vector<std::string_view>& LastNameBeginnings();
const std::vector<std::string_view>& LastNameEnds();
const std::vector<std::string_view>& TownBeginnings();
const std::vector<std::string_view>& TownEnds();
const std::vector<std::string_view>& CompanyBeginnings();
const std::vector<std::string_view>& CompanyEnds();
const std::vector<std::string_view>& CompanyTrades();
const std::vector<std::string_view>& Publishers();

}  // namespace millrace::titles
