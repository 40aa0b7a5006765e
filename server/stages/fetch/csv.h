// Reader of CSV by RFC 4180, as v1::CsvSource describes it. Bytes come in any pieces, and reading is resumable at any
// row. A row that can't be read is a failed item with its line and byte; a header that can't be read is an error of the
// whole source.
#pragma once

#include <memory>

#include "millrace/v1/stages.pb.h"
#include "server/stages/fetch_stage.h"

namespace millrace::fetch {

// Returns a reader whose items have a JSON string for each column, in the order of the columns. Skips empty lines.
std::unique_ptr<RowReader> MakeCsvReader(const v1::CsvSource& source);

}  // namespace millrace::fetch
