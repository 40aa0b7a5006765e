// Where the rows of a fetch come from, in batches, each with the cursor at which reading goes on after it.
#pragma once

#include <memory>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/engine/step/client_input.h"
#include "server/engine/step/step.h"
#include "server/stages/stage.h"

namespace millrace {

struct RowBatch {
  std::vector<FetchedRow> rows;
  storage::v1::FetchCursor after;  // `after.done`: these are the last
  bool waits = false;              // nothing is there yet: the client has to send more
};

// Engine thread; one call at a time.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual Task<StatusOr<RowBatch>> Next() = 0;
};

// Opens what the stage reads, from `cursor` on. FAILED_PRECONDITION (FILE_ERROR) where the source is no longer what the
// cursor was made of: rows of both would stand side by side.
Task<StatusOr<std::unique_ptr<RowSource>>> OpenRows(StepHost& host, int stage, storage::v1::FetchCursor cursor);

}  // namespace millrace
