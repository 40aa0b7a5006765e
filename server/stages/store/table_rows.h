// Which rows and columns of a table an item becomes, by v1::SqliteTable.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/fwd.hpp>

#include "millrace/v1/stages.pb.h"
#include "server/base/status.h"
#include "server/stages/stage.h"
#include "server/stages/store/sqlite_database.h"

namespace millrace::store {

// What one row is made of.
struct RowParts {
  const InputItem& item;
  const boost::json::value& fields;  // of the item
  const boost::json::value* entry;   // of the list `each`; null without one
  int64_t index;                     // its place
};

// A JSON value as SQLite keeps it: booleans are 0 and 1, lists and objects JSON text.
SqlValue SqlValueOf(const boost::json::value* value);

class TableRows {
 public:
  explicit TableRows(const v1::SqliteTable& table);

  // True: the columns are the fields that the rows have, so that all rows must be seen before they are known.
  bool implied() const { return table_.columns().empty(); }

  // The columns that the definition names, key first, then by name.
  const std::vector<std::string>& columns() const { return columns_; }

  // Calls `row` for each row of an item. SINK: `each` is there and no list.
  Status ForEach(const InputItem& item, const boost::json::value& fields,
                 const std::function<Status(const RowParts&)>& row) const;

  // Calls `field` for each column that a row has and its value, where columns are implied.
  void ForEachField(const RowParts& row,
                    const std::function<void(std::string_view, const boost::json::value*)>& field) const;

  // The value of a column. The item's own id stands for a field `id` that it does not have.
  SqlValue At(const RowParts& row, const std::string& column) const;

 private:
  const v1::SqliteTable table_;
  std::vector<std::string> columns_;
};

}  // namespace millrace::store
