// Labelled sets for measurements of quality: the demo's titles, and sets from outside the project (MILLRACE_DATA).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/item.h"

namespace millrace {

// Items, with the true group of each item by name of a labelling.
struct LabelledSet {
  std::string name;
  std::vector<InputItem> items;
  std::map<std::string, std::vector<std::string>> labels;
};

// Returns demo/titles.csv with the labelling `family` of demo/truth.csv, below the working directory. `titles` is the
// pipeline's fetch stage, which names the columns.
StatusOr<LabelledSet> DemoTitles(const v1::Fetch& titles);

// Returns the headlines of news-uci. NOT_FOUND if they are absent.
StatusOr<LabelledSet> NewsUci(const v1::Fetch& titles);

// Returns the sets that exist, and puts the names of the others into `missing`.
std::vector<LabelledSet> LabelledSets(const v1::Fetch& titles, std::vector<std::string>& missing);

// Returns the text of an item's field; empty if it has none.
std::string FieldOf(const InputItem& item, std::string_view field);

}  // namespace millrace
