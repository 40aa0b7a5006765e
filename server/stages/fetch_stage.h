// A stage that reads items from outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/stages/item.h"

namespace millrace {

namespace v1 {
class InputItem;
}

// One row that a fetch read.
struct FetchedRow {
  std::string id;  // empty if the row is bad and has none: the engine uses `row-N`
  StageItem item;  // OK or FAILED (BAD_ROW, BAD_ITEM, BAD_ITEM_ID; the message names line and byte)
};

// Incremental parser that turns bytes into rows: a pure state machine. One thread at a time.
class RowReader {
 public:
  virtual ~RowReader() = default;

  struct Rows {
    std::vector<FetchedRow> rows;
    size_t consumed = 0;  // bytes of the input that need not be fed again
  };
  // Parses as many rows of `bytes` as it can. REQUIRES: `bytes` begin where the `consumed` bytes of the last Feed
  // ended. `end`: nothing follows them. INVALID_ARGUMENT: the source as a whole can't be read (no header, a required
  // column is missing, UTF-16).
  virtual StatusOr<Rows> Feed(std::string_view bytes, bool end) = 0;

  // Returns the names of the fields that every row has, once they are known; none if rows differ in their fields.
  virtual std::vector<std::string> Columns() const { return {}; }

  // Returns all that a new reader needs to continue behind the consumed bytes: rows so far, the header.
  virtual std::string State() const = 0;
  // Continues from a State. DATA_LOSS (STORE_CORRUPT).
  virtual Status Restore(std::string_view state) = 0;
};

// Immutable; any thread. The engine commits its rows with a cursor, and continues there after a crash.
class FetchStage {
 public:
  virtual ~FetchStage() = default;

  // Path of the file, as the definition has it; empty: the items come from the client.
  virtual std::string path() const = 0;
  // Returns a reader for a file's bytes; null if the source has no bytes (items sent in requests).
  virtual std::unique_ptr<RowReader> MakeReader() const = 0;
  // Checks an item that a client sent in a request. `row` counts from 1.
  virtual FetchedRow FromClient(const v1::InputItem& item, int64_t row) const = 0;
};

}  // namespace millrace
