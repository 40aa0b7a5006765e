#include "server/stages/rules/table.h"

#include <boost/json.hpp>
#include <utility>

#include "server/base/json.h"
#include "server/stages/fetch/csv.h"

namespace millrace {
namespace {

Status TableError(std::string_view what) { return MakeError(Reason::kInvalidDefinition, what); }

std::string TextOf(const json::string& text) { return std::string(text.data(), text.size()); }

}  // namespace

StatusOr<Table> ReadTable(std::string_view csv) {
  const std::unique_ptr<RowReader> reader = fetch::MakeCsvReader({});
  const auto read = reader->Feed(csv, true);
  if (!read.ok()) return TableError(MessageOf(read.status()));
  Table table;
  for (const FetchedRow& row : read->rows) {
    if (row.item.state != v1::ITEM_STATE_OK) return TableError(row.item.message);
    MR_ASSIGN_OR_RETURN(const json::value value, ParseJson(row.item.json));
    std::vector<std::string> cells;
    for (const json::key_value_pair& member : value.get_object()) {
      if (table.rows.empty()) table.columns.emplace_back(member.key().data(), member.key().size());
      cells.push_back(TextOf(member.value().get_string()));
    }
    table.rows.push_back(std::move(cells));
  }
  if (table.rows.empty()) return TableError("the table has no rows");
  return table;
}

}  // namespace millrace
