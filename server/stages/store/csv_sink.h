// Items as a CSV file (RFC 4180) with a header, by ordinal.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/stages.pb.h"
#include "server/stages/stage.h"

namespace millrace::store {

// `path` is the file to write, checked; errors name it as the definition does. Text that a spreadsheet would run as a
// formula gets an apostrophe before it, unless the definition says otherwise; numbers are left alone. An absent field
// and null are an empty cell, lists and objects are JSON text.
std::unique_ptr<SinkStage> MakeCsvSink(const v1::CsvSink& sink, std::string path);

}  // namespace millrace::store
