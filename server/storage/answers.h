// Remembered answers of models: index entries by the key of a question, which lead to the settled records (ledger.h).
// server/llm/cache.h decides what may be reused.
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

// The answer that later runs may reuse too.
std::string AnswerKey(const Digest& call_key);
// The answer that this run was given, good or not, and its attempts. Only this run uses it.
std::string RunAnswerKey(std::string_view run, const Digest& call_key);

// Lets later runs find the answer in a settled record. `question_number` is the record of the question itself, if the
// answer took a repair or another try; 0: the same.
void PutAnswer(WriteBatch& batch, const Digest& call_key, int64_t number, int64_t question_number = 0);
void PutRunAnswer(WriteBatch& batch, std::string_view run, const Digest& call_key,
                  const storage::v1::SettledIndex& index);

// Forgets what a run was answered, so that it asks again: for a redrive of items that failed because of their answers
// (ItemRecord.call_keys). The attempts stay in the list of the run.
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

// How a settled record is used.
struct SettledUse {
  int64_t number = 0;
  std::optional<storage::v1::SettledRecord> record;  // nothing: it is damaged
  std::vector<Digest> shared_under;                  // keys under which later runs find its answer
  bool is_listed = false;                            // its run is there and lists its attempts
};
// Returns the uses of settled records in the order of their numbers, without those that are not in the store.
Task<StatusOr<std::vector<SettledUse>>> FindUses(Store& store, std::vector<int64_t> numbers);

// The answers that EvictAnswers forgets.
struct EvictionFilter {
  std::optional<int64_t> older_than_micros;  // given before this wall time
  std::string target;                        // `backend/model`; empty: of any
  // Called with the run that an answer was first given to: true keeps it. Empty: none is kept.
  std::function<bool(const std::string& run)> in_use;
};
// Forgets answers for later runs and returns how many. Their texts are deleted; attempts of runs that are there stay.
// Damaged records and answers that no index entry leads to any more are deleted too, and not counted. Page by page,
// with the loop free in between.
Task<StatusOr<int64_t>> EvictAnswers(Store& store, EvictionFilter filter);

// Deletes the settled records of a run but those with an answer that later runs may reuse. Page by page: after an error
// or a crash the run is still there, with fewer attempts, and this may be called again.
Task<Status> DeleteSettledOf(Store& store, std::string run);

// Entries of the answers for later runs, and bytes of all settled records, as the store estimates.
Task<StatusOr<Store::Size>> AnswersSize(Store& store);

}  // namespace millrace
