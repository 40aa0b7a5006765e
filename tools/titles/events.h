// Vocabulary of the demo's invented news: kinds of events, several headlines (`tellings`) for each, and the names in them. Places
// are real; people, companies and storms are not.
//
// A headline has slots. `<x>` is the same in all titles of a family: city, country, demonym, region, person, person2,
// company, company2, thing (from the event's own list), n (a number that grows from day to day), m (a constant number).
// `{a|b|c}` is chosen separately for every title.
#pragma once

#include <string_view>
#include <vector>

namespace millrace::titles {

struct EventKind {
  std::string_view name;  // word for the event in headlines
  int frequency;          // relative frequency
  int n_max;              // `n` is 2 to this
  std::vector<std::string_view> things;
  std::vector<std::string_view> tellings;
};

struct Country {
  std::string_view name;
  std::string_view demonym;
  std::vector<std::string_view> cities;
};

const std::vector<EventKind>& EventKinds();
// Headlines of titles that belong to no family: weather, lists, opinion.
const std::vector<std::string_view>& Fillers();
const std::vector<Country>& Countries();
// Words with about the same meaning in a headline: the first of each group may be replaced by the others.
const std::vector<std::vector<std::string_view>>& Synonyms();
// Names consist of a beginning and an end.
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
