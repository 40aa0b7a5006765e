// The ledger: all that was settled under the key of a question (its attempts, its answer, the question itself) as one
// record in a log, and every attempt that is not settled yet under the key of its question, where the next asker finds
// what a crash has left behind.
//
// Why a log: numbers ascend in the order of the settlements, so that a record is written once and never merged with
// those that are there. Keys of questions are random; only small index entries have them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/digest.h"
#include "server/base/loop.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/store.h"

namespace millrace {

// Numbers of settled records: above all that are in the store, ascending, none given twice. Engine thread only.
class SettledNumbers {
 public:
  SettledNumbers(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  // Resumes when the numbers are known. The first call reads the newest record of the store; it waits while the store
  // can't be read.
  Task<void> Load();

  // Returns the first of `count` numbers, from 1. Some may stay unused. Take them shortly before the batch is
  // committed: records whose numbers are in the order of the commits cost least. REQUIRES: Load has resumed.
  int64_t Take(int64_t count) { return std::exchange(*newest_, *newest_ + count) + 1; }

 private:
  Loop& loop_;
  Store& store_;
  std::optional<int64_t> newest_;
};

// (number)
std::string SettledKey(int64_t number);
// (run, number)
std::string RunSettledKey(std::string_view run, int64_t number);
// (call key, slot). An attempt has slot 0; the others are reserved for attempts of the same question at the same
// time, which nothing makes yet. (Not the slots of a target.)
std::string PendingKey(const Digest& call_key, int64_t slot = 0);

// Moment (a) of an attempt, *started*; again moment (b), *answered*, with its raw answer; or its failure.
void PutPending(WriteBatch& batch, const Digest& call_key, const storage::v1::PendingRecord& attempt);
// Moment (c), *settled*: the record in the log, and its entry in the list of its run, if it has one.
void PutSettled(WriteBatch& batch, int64_t number, const storage::v1::SettledRecord& record);
// Moment (c) of a question: deletes the pending record under its key.
void DeletePending(WriteBatch& batch, const Digest& call_key);

// Returns the attempts of a settled record as clients see them: with their call key.
std::vector<v1::Attempt> AttemptsOf(storage::v1::SettledRecord record);

// Attempts of a run, a page at a time: settled ones in the order of the settlements, then those that are not settled.
// `begin` is where the page begins; empty: at the first. `next` is empty at the end. A page may have no attempt
// although it is not the last one. Damaged records are left out.
struct AttemptPage {
  std::vector<v1::Attempt> attempts;
  std::string next;
};
Task<StatusOr<AttemptPage>> LoadAttempts(Store& store, std::string run, std::string begin, size_t entries_max);

// The attempts of a call that is not settled.
struct PendingCall {
  std::string attempt_id;  // of the newest
  std::string stage;
  int64_t attempts = 0;
  int64_t maybe_billed = 0;  // without those of `started`
  int64_t started = 0;       // in flight, or cut by a crash
};
using PendingByRun = std::map<std::string, std::vector<PendingCall>>;
// Counts the attempts of one run, or of all runs if none is given. Reads all pending records: about as many as are in
// flight. Damaged records are left out.
Task<StatusOr<PendingByRun>> CountPending(Store& store, std::optional<std::string> run);

}  // namespace millrace
