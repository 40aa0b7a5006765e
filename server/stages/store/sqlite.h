// Sink that writes all items of a stage as rows of a SQLite database, in one transaction with a row of `millrace_runs`
// that names their generation. A repeated write of a generation does nothing, so that a restart may always repeat it.
//
// `millrace_runs(number, pipeline, stage, run, generation, time, rows, content)`: `rows` is the number of the
// generation's rows in all tables, `content` a digest of the rows that it appends. If a generation has the same rows as
// the last one, only this row is written. `millrace_rows_TABLE` has the keys that a stage wrote in mode `replace`.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/stages.pb.h"
#include "server/files/file_access.h"
#include "server/stages/sink_stage.h"

namespace millrace::store {

// Checks the rules that the options of the message's fields can't express. INVALID_DEFINITION with all violations.
Status CheckSqliteSink(const v1::SqliteSink& sink);

// Returns the sink. `open` opens the place of the database; errors name it as the definition does.
std::unique_ptr<SinkStage> MakeSqliteSink(const v1::SqliteSink& sink, OutputOpener open);

}  // namespace millrace::store
