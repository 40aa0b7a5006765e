// All items of a stage as rows of a SQLite database, in one transaction with the row of `millrace_runs` that says which
// generation they are. A repeat of a generation that is there writes nothing, so that a restart may always repeat.
//
// `millrace_runs(number, pipeline, stage, run, generation, time, rows, content)`: `rows` is how many rows the
// generation has in all tables, `content` a digest of what it appends. Where a generation differs from the last one in
// no row, this is all that is written. `millrace_rows_TABLE` keeps the keys that a stage wrote in mode `replace`.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/stages.pb.h"
#include "server/stages/stage.h"

namespace millrace::store {

// What a reader of the message can't tell: INVALID_DEFINITION with every place.
Status CheckSqliteSink(const v1::SqliteSink& sink);

// `path` is the file to write, checked; errors name it as the definition does.
std::unique_ptr<SinkStage> MakeSqliteSink(const v1::SqliteSink& sink, std::string path);

}  // namespace millrace::store
