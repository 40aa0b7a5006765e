// Cached answers of models: index entries by call key, which lead to the settled records (ledger.h). server/llm/cache.h
// decides what may be reused.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/base/task.h"
#include "server/storage/store.h"

namespace millrace {

// Returns the key of the entry for later runs: the cached answer.
std::string AnswerKey(const Digest& call_key);
// Returns the key of a run's own entry: the answer that it was given, usable or not, and its attempts. Only this run
// uses it.
std::string RunAnswerKey(std::string_view run, const Digest& call_key);

// Lets later runs find the answer in a settled record. `question_number` is the record of the question itself, if the
// answer took a repair or another attempt; 0: the same.
void PutAnswer(WriteBatch& batch, const Digest& call_key, int64_t number, int64_t question_number = 0);
void PutRunAnswer(WriteBatch& batch, std::string_view run, const Digest& call_key,
                  const storage::v1::SettledIndex& index);

// Deletes a run's own entries, so that it asks these questions again: for a redrive of items that failed because of
// their answers (ItemRecord.call_keys). The attempts stay in the list of the run.
void ForgetRunAnswers(WriteBatch& batch, std::string_view run, const std::vector<Digest>& call_keys);

// A question, its answer and the run's attempts at it, for `why`. A record that is absent or damaged is left out.
struct RememberedCall {
  std::optional<storage::v1::QuestionRecord> question;
  std::optional<storage::v1::AnswerRecord> answer;  // this run's own, else that for all
  std::vector<v1::Attempt> attempts;                // oldest first; of one question the newest 100
};
Task<StatusOr<std::vector<RememberedCall>>> LoadCalls(Store& store, std::string run, std::vector<Digest> call_keys);

// The largest number of settled records that an index entry of a run names.
inline constexpr int kIndexedRecordsMax = 100;

// A settled record with the entries that lead to it. If none does, the record can be deleted.
struct SettledUse {
  int64_t number = 0;
  std::optional<storage::v1::SettledRecord> record;  // nullopt: it is damaged
  std::vector<Digest> shared_under;                  // call keys under which later runs find its answer
  bool is_listed = false;                            // its run was not deleted, and lists its attempts
};
// Returns the records of these numbers with the entries that lead to them, in the order of `numbers`, without records
// that are not in the store.
Task<StatusOr<std::vector<SettledUse>>> FindUses(Store& store, std::vector<int64_t> numbers);

// The cached answers that EvictAnswers evicts.
struct EvictionFilter {
  std::optional<int64_t> older_than_micros;  // given before this wall time
  std::string target;                        // `backend/model`; empty: of any
  // Called with the run that an answer was first given to: true keeps it. Empty: none is kept.
  std::function<bool(const std::string& run)> in_use;
};
// Evicts cached answers and returns how many. Their texts are deleted; the attempts stay as long as their run.
// Damaged records and answers that no index entry leads to any more are deleted too, and not counted. Page by page,
// with the loop free in between.
Task<StatusOr<int64_t>> EvictAnswers(Store& store, EvictionFilter filter);

// Deletes the settled records of a run but those with an answer that later runs may reuse. Page by page: after an error
// or a crash the run is still there, with fewer attempts, and this may be called again.
Task<Status> DeleteSettledOf(Store& store, std::string run);

// Returns the number of cached answers and the bytes of all settled records, as the store estimates them.
Task<StatusOr<Store::Size>> AnswersSize(Store& store);

}  // namespace millrace
