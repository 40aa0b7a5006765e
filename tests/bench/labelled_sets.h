// The labelled sets that quality is measured on: the demo's own titles, and those read from outside the project
// (MILLRACE_DATA).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/stage.h"

namespace millrace {

// Items, with the true group of each under the name of the labelling.
struct LabelledSet {
  std::string name;
  std::vector<InputItem> items;
  std::map<std::string, std::vector<std::string>> labels;
};

// demo/titles.csv with demo/truth.csv, below the working directory, labelled `family`. `titles` is the pipeline's fetch
// stage, which says how columns are named.
StatusOr<LabelledSet> DemoTitles(const v1::Fetch& titles);

// The headlines of news-uci. NOT_FOUND where they are absent.
StatusOr<LabelledSet> NewsUci(const v1::Fetch& titles);

// The sets that are there. What is absent is named in `missing`.
std::vector<LabelledSet> LabelledSets(const v1::Fetch& titles, std::vector<std::string>& missing);

// The text of an item's field; empty where it has none.
std::string FieldOf(const InputItem& item, std::string_view field);

}  // namespace millrace
