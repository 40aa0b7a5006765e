#include "tests/bench/labelled_sets.h"

#include <boost/json.hpp>
#include <utility>

#include "server/base/json.h"
#include "server/base/random.h"
#include "server/stages/fetch/fetch.h"
#include "tests/bench/news_events.h"
#include "tests/stages/barrier.h"

namespace millrace {
namespace {

// Reads the rows of a file with the stage kind `fetch`, as the server does.
StatusOr<std::vector<InputItem>> Read(const v1::Fetch& fetch, const std::string& path) {
  MR_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  v1::Stage stage;
  stage.set_name("titles");
  *stage.mutable_fetch() = fetch;
  const v1::Pipeline pipeline;
  const NoFiles files;
  MR_ASSIGN_OR_RETURN(const StageWork work, FetchKind().make({pipeline, stage, files}));
  MR_ASSIGN_OR_RETURN(RowReader::Rows rows, WorkAs<FetchStage>(work).MakeReader()->Feed(bytes, true));
  std::vector<InputItem> items;
  for (FetchedRow& row : rows.rows) {
    if (row.item.state != v1::ITEM_STATE_OK) return absl::DataLossError(path + ": " + row.item.message);
    InputItem item;
    item.ordinal = static_cast<int64_t>(items.size());
    item.id = row.id;
    item.json = std::make_shared<const std::string>(std::move(row.item.json));
    items.push_back(std::move(item));
  }
  return items;
}

v1::Fetch Csv(v1::Fetch fetch, const std::string& id_column) {
  fetch.mutable_csv()->set_id_column(id_column);
  return fetch;
}

v1::Fetch Jsonl() {
  v1::Fetch fetch;
  fetch.mutable_jsonl()->set_id_field("id");
  return fetch;
}

std::vector<std::string> Fields(const std::vector<InputItem>& items, std::string_view field) {
  std::vector<std::string> values;
  for (const InputItem& item : items) values.push_back(FieldOf(item, field));
  return values;
}

StatusOr<LabelledSet> Ecbplus() {
  LabelledSet set{.name = "news-events-ecbplus"};
  const std::string folder = DataDirectory() + "/news-events-ecbplus/";
  MR_ASSIGN_OR_RETURN(set.items, Read(Jsonl(), folder + "articles.jsonl"));
  MR_ASSIGN_OR_RETURN(const std::vector<InputItem> labels, Read(Jsonl(), folder + "labels.jsonl"));
  std::map<std::string, std::string> events;
  for (const InputItem& label : labels) events[label.id] = FieldOf(label, "event");
  for (const InputItem& item : set.items) set.labels["event"].push_back(events[item.id]);
  return set;
}

StatusOr<LabelledSet> Families(const v1::Fetch& titles) {
  LabelledSet set{.name = "news-families"};
  const std::string folder = DataDirectory() + "/news-families/";
  MR_ASSIGN_OR_RETURN(set.items, Read(Csv(titles, "id"), folder + "news.csv"));
  MR_ASSIGN_OR_RETURN(const std::vector<InputItem> labels, Read(Csv({}, "id"), folder + "labels.csv"));
  if (labels.size() != set.items.size()) return absl::DataLossError("labels.csv and news.csv differ in length");
  set.labels["family_id"] = Fields(labels, "family_id");
  set.labels["burst_id"] = Fields(labels, "burst_id");
  set.labels["kind"] = Fields(labels, "kind");
  return set;
}

// Returns the set without the pandemic, about which titles of different places have nearly equal words.
LabelledSet NotPandemic(const LabelledSet& all) {
  LabelledSet set{.name = "news-families, kind != pandemic"};
  for (size_t i = 0; i < all.items.size(); ++i) {
    if (all.labels.at("kind")[i] == "pandemic") continue;
    InputItem item = all.items[i];
    item.ordinal = static_cast<int64_t>(set.items.size());
    set.items.push_back(std::move(item));
    for (const char* label : {"family_id", "burst_id"}) set.labels[label].push_back(all.labels.at(label)[i]);
  }
  return set;
}

}  // namespace

StatusOr<LabelledSet> DemoTitles(const v1::Fetch& titles) {
  LabelledSet set{.name = "demo"};
  MR_ASSIGN_OR_RETURN(set.items, Read(Csv(titles, "id"), "demo/titles.csv"));
  MR_ASSIGN_OR_RETURN(const std::vector<InputItem> truth, Read(Csv({}, "id"), "demo/truth.csv"));
  if (truth.size() != set.items.size()) return absl::DataLossError("truth.csv and titles.csv differ in length");
  set.labels["family"] = Fields(truth, "family");
  return set;
}

StatusOr<LabelledSet> NewsUci(const v1::Fetch& titles) {
  LabelledSet set{.name = "news-uci"};
  MR_ASSIGN_OR_RETURN(set.items, Read(Csv(titles, "ID"), DataDirectory() + "/news-uci/uci-news.csv"));
  // Shuffles the rows, because the file is sorted by story and real input is not.
  Random random(1);
  for (size_t at = set.items.size(); at > 1; --at) std::swap(set.items[at - 1], set.items[random.Below(at)]);
  for (size_t i = 0; i < set.items.size(); ++i) set.items[i].ordinal = static_cast<int64_t>(i);
  set.labels["story"] = Fields(set.items, "STORY");
  return set;
}

std::string FieldOf(const InputItem& item, std::string_view field) {
  const StatusOr<json::value> value = ParseJson(*item.json);
  const json::value* found = value.ok() ? FindPath(*value, field) : nullptr;
  if (found == nullptr || !found->is_string()) return "";
  return {found->get_string().data(), found->get_string().size()};
}

std::vector<LabelledSet> LabelledSets(const v1::Fetch& titles, std::vector<std::string>& missing) {
  std::vector<LabelledSet> sets;
  const auto take = [&](StatusOr<LabelledSet> set) {
    if (set.ok()) {
      sets.push_back(*std::move(set));
    } else {
      missing.emplace_back(MessageOf(set.status()));
    }
    return set.ok();
  };
  take(DemoTitles(titles));
  take(NewsUci(titles));
  take(Ecbplus());
  if (take(Families(titles))) {
    sets.push_back(NotPandemic(sets.back()));
    sets[sets.size() - 2].labels.erase("kind");
  }
  return sets;
}

}  // namespace millrace
