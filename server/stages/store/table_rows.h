// Rows and columns that an item becomes in a table, by v1::SqliteTable.
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
#include "server/stages/item.h"
#include "server/stages/store/sqlite_database.h"

namespace millrace::store {

// Source of one row.
struct RowParts {
  const InputItem& item;
  const boost::json::value& fields;  // fields of the item
  const boost::json::value* entry;   // entry of the list `each`; null if the table has no `each`
  int64_t index;                     // position of the entry, from 0
};

// Returns a JSON value as a value of SQLite: booleans are 0 and 1; lists, objects and integers above 2^63 - 1 are
// JSON text. NULL for a null pointer.
SqlValue SqlValueOf(const boost::json::value* value);

// Mapping of items to rows of one table. Immutable; any thread.
class TableRows {
 public:
  explicit TableRows(const v1::SqliteTable& table);

  // Returns true if the definition names no columns: they are then all fields of the rows, and known only after all
  // rows have been seen.
  bool implied() const { return table_.columns().empty(); }

  // Returns the columns that the definition names: the key's first, then by name.
  const std::vector<std::string>& columns() const { return columns_; }

  // Calls `row` for each row of an item, until the first error. SINK if the field `each` exists and is not a list.
  Status ForEach(const InputItem& item, const boost::json::value& fields,
                 const std::function<Status(const RowParts&)>& row) const;

  // Calls `field` with the name and value of each column of a row. REQUIRES: implied().
  void ForEachField(const RowParts& row,
                    const std::function<void(std::string_view, const boost::json::value*)>& field) const;

  // Returns the value of a column. The id of the item is the value of a field `id` that the item does not have.
  SqlValue At(const RowParts& row, const std::string& column) const;

 private:
  const v1::SqliteTable table_;
  std::vector<std::string> columns_;
};

}  // namespace millrace::store
