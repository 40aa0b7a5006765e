#include "tests/bench/theater.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "server/stages/rules/rules.h"
#include "server/stages/rules/table.h"
#include "tests/bench/news_events.h"

namespace millrace {
namespace {

namespace json = boost::json;

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t bar = std::min(text.find('|'), text.size());
    parts.emplace_back(text.substr(0, bar));
    text.remove_prefix(std::min(bar + 1, text.size()));
  }
  return parts;
}

size_t Column(const rules::Table& table, std::string_view name) {
  return static_cast<size_t>(std::find(table.columns.begin(), table.columns.end(), name) - table.columns.begin());
}

StatusOr<std::map<std::string, std::string>> TheatersOfSubregions() {
  MR_ASSIGN_OR_RETURN(const std::string csv, ReadWholeFile("configs/pipelines/news-events/theaters.csv"));
  MR_ASSIGN_OR_RETURN(const rules::Table table, rules::ReadTable(csv));
  std::map<std::string, std::string> theaters;
  for (const auto& row : table.rows) {
    for (const std::string& subregion : Split(row[Column(table, "subregions")])) {
      theaters[subregion] = row[Column(table, "theater")];
    }
  }
  return theaters;
}

}  // namespace

StatusOr<TheaterFigures> MeasureTheaters(const v1::Pipeline& pipeline, const std::string& data_directory) {
  MR_ASSIGN_OR_RETURN(const auto theaters, TheatersOfSubregions());
  MR_ASSIGN_OR_RETURN(const rules::Rules rules,
                      rules::Rules::Compile(StageNamed(pipeline, "theater").prepare(), pipeline));
  MR_ASSIGN_OR_RETURN(const std::string news_csv, ReadWholeFile(data_directory + "/news-families/news.csv"));
  MR_ASSIGN_OR_RETURN(const rules::Table news, rules::ReadTable(news_csv));
  MR_ASSIGN_OR_RETURN(const std::string labels_csv, ReadWholeFile(data_directory + "/news-families/labels.csv"));
  MR_ASSIGN_OR_RETURN(const rules::Table labels, rules::ReadTable(labels_csv));

  std::vector<json::object> items;
  for (const auto& row : news.rows) {
    json::object item;
    for (size_t i = 0; i < row.size(); ++i) {
      item[json::string_view(news.columns[i].data(), news.columns[i].size())] = row[i];
    }
    items.push_back(std::move(item));
  }
  const SystemClock clock;
  const TimePoint begin = clock.Now();
  for (json::object& item : items) item = rules.Apply(std::move(item)).item;
  TheaterFigures figures;
  figures.elapsed = clock.Now() - begin;
  figures.rows = static_cast<int64_t>(items.size());
  const size_t subregions = Column(labels, "subregions");
  for (size_t i = 0; i < items.size(); ++i) {
    const json::value* theater = items[i].if_contains("theater");
    if (theater == nullptr) continue;
    ++figures.named;
    std::set<std::string> labelled;
    for (const std::string& subregion : Split(labels.rows[i][subregions])) {
      const auto found = theaters.find(subregion);
      if (found != theaters.end()) labelled.insert(found->second);
    }
    if (labelled.size() != 1) continue;
    ++figures.judged;
    figures.right += std::string_view(theater->get_string().data(), theater->get_string().size()) == *labelled.begin();
  }
  return figures;
}

}  // namespace millrace
