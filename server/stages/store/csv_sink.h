// Sink that writes items to a CSV file (RFC 4180) with a header, in the order of their ordinals.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/stages.pb.h"
#include "server/files/file_access.h"
#include "server/stages/sink_stage.h"

namespace millrace::store {

// Returns the sink. `open` opens the place of the file; errors name the file as the definition does. An apostrophe
// is put before text that a spreadsheet would run as a formula, unless `keep_formulas` is set; numbers are unchanged.
// Absent fields and null are empty cells; lists and objects are JSON text.
std::unique_ptr<SinkStage> MakeCsvSink(const v1::CsvSink& sink, OutputOpener open);

}  // namespace millrace::store
