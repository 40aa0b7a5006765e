// Source of a fetch's rows, in batches. Each batch has the cursor at which reading continues after it.
#pragma once

#include <memory>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/engine/step/client_input.h"
#include "server/engine/step/step_host.h"
#include "server/stages/fetch_stage.h"

namespace millrace {

struct RowBatch {
  std::vector<FetchedRow> rows;
  storage::v1::FetchCursor after;  // `after.done`: this is the last batch
  bool waits = false;              // no row yet: the client has to send more
};

// Engine thread; one call at a time.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // Returns the next batch.
  virtual Task<StatusOr<RowBatch>> Next() = 0;
};

// Opens the stage's source at `cursor`. Error FILE_ERROR if the source has changed since the cursor was made: the run
// would mix rows of both versions.
Task<StatusOr<std::unique_ptr<RowSource>>> OpenRows(StepHost& host, int stage, storage::v1::FetchCursor cursor);

}  // namespace millrace
