// CSV by RFC 4180, as v1::CsvSource describes it: rows out of bytes that come in any pieces, resumable at any row. A
// row that can't be read is a failed item with its line and byte; a header that can't is an error of the whole source.
#pragma once

#include <memory>

#include "millrace/v1/stages.pb.h"
#include "server/stages/stage.h"

namespace millrace::fetch {

// Values are JSON strings, in the order of the columns. Empty lines are skipped.
std::unique_ptr<RowReader> MakeCsvReader(const v1::CsvSource& source);

}  // namespace millrace::fetch
