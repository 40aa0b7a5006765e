// Attempts of a run that none of its items counts, because another run has taken them over and settled them: after a
// crash, or after the run has left the call. Each is counted in the run that made it. The batch that settles such an
// attempt writes the totals under the run that made it; a run whose attempts are settled by itself writes nothing here.
//
// A run that ends while attempts are in flight has counted them in its stored record, as far as they are known then.
// It also stores them here as *left*: if another run takes such an attempt over, what was counted is taken off again.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/ledger.h"
#include "server/storage/store.h"

namespace millrace {

using TotalsByStage = std::map<std::string, storage::v1::CallTotals, std::less<>>;

// The attempts that a run has paid for and another run has settled.
struct TakenOver {
  TotalsByStage totals;       // only attempts, tokens, costs and calling_nanos are set
  TotalsByStage left;         // the part of them that the stored record of an ended run has already
  std::set<std::string> ids;  // of the newest attempt of each call
};

// Returns from - less, of the counts of attempts. Those of calls and waiting stay 0.
storage::v1::CallTotals AttemptsWithout(const storage::v1::CallTotals& from, const storage::v1::CallTotals& less);

// Counts an attempt, with those that its totals have, in the run of the record, in the batch that settles it for
// another run. Generate has no counts: then this does nothing.
void PutTakenOver(WriteBatch& batch, const storage::v1::PendingRecord& record);
// Remembers attempts that an ended run has counted and not settled.
void PutLeft(WriteBatch& batch, std::string_view run, const PendingCall& call);
// Forgets these: the run starts again, and counts them when it takes them over.
void ForgetLeft(WriteBatch& batch, std::string_view run);

// Reads the entries of a run: usually none. Damaged ones are left out.
Task<StatusOr<TakenOver>> LoadTakenOver(Store& store, std::string run);

}  // namespace millrace
