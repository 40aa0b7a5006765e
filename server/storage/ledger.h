// The ledger: a record of every attempt under its run, and, while the effects of an attempt are not stored, the same
// under its call's key with the raw answer. So what a crash leaves behind is found by whoever asks the same question.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/store.h"

namespace millrace {

// (run, attempt id). The run of Generate is the empty text.
std::string AttemptKey(std::string_view run, std::string_view attempt_id);
// The attempt of a call that is not settled.
std::string PendingKey(const Digest& call_key);

// Moment (a): both records.
void PutStarted(WriteBatch& batch, const Digest& call_key, const storage::v1::AttemptRecord& attempt);
// Moment (b), and what is known of an attempt that failed: the pending record, with the raw answer.
void PutPending(WriteBatch& batch, const Digest& call_key, const storage::v1::AttemptRecord& attempt);
// Moment (c): the record of the run, without the raw answer.
void PutSettled(WriteBatch& batch, storage::v1::AttemptRecord attempt);
// Moment (c) of a call: nothing of it is pending any more.
void DeletePending(WriteBatch& batch, const Digest& call_key);

// Attempts of a run in the order of their ids, which is that of their starts, a page at a time: from `begin` (empty:
// the first); `next` is empty at the end. Damaged records are left out.
struct AttemptPage {
  std::vector<storage::v1::AttemptRecord> attempts;
  std::string next;
};
Task<StatusOr<AttemptPage>> LoadAttempts(Store& store, std::string run, std::string begin, size_t entries_max);

// The first 1,000 attempts of one call of a run, in the order of their ids.
Task<StatusOr<std::vector<storage::v1::AttemptRecord>>> LoadAttemptsOf(Store& store, std::string run, Digest call_key);

}  // namespace millrace
