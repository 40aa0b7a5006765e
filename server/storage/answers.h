// Remembered answers of models: keys and values in the store. What may be reused is decided by server/llm/cache.h.
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

// An answer that later runs may reuse too.
std::string AnswerKey(const Digest& call_key);
// An answer, good or not, that only this run finds again.
std::string RunAnswerKey(std::string_view run, const Digest& call_key);
// The question of a call.
std::string QuestionKey(const Digest& call_key);

void PutAnswer(WriteBatch& batch, const Digest& call_key, const storage::v1::AnswerRecord& answer);
void PutRunAnswer(WriteBatch& batch, std::string_view run, const Digest& call_key,
                  const storage::v1::AnswerRecord& answer);
void PutQuestion(WriteBatch& batch, const Digest& call_key, const storage::v1::QuestionRecord& question);

// Forgets what a run was told for its calls, so that they are asked anew: for a redrive of items that failed because of
// their answers (ItemRecord.call_keys).
void ForgetRunAnswers(WriteBatch& batch, std::string_view run, const std::vector<Digest>& call_keys);

// A question and its answer, for `why`; a record that is absent or damaged is empty.
struct RememberedCall {
  std::optional<storage::v1::QuestionRecord> question;
  std::optional<storage::v1::AnswerRecord> answer;  // this run's own, else that for all
};
Task<StatusOr<std::vector<RememberedCall>>> LoadCalls(Store& store, std::string run, std::vector<Digest> call_keys);

// What Evict forgets.
struct EvictionFilter {
  std::optional<int64_t> older_than_micros;  // given before this wall time
  std::string target;                        // `backend/model`; empty: of any
  // Asked with the run that an answer was first given to: true keeps it. Empty: none is kept.
  std::function<bool(const std::string& run)> in_use;
};
// Deletes answers for later runs; how many. Damaged ones go too. Goes page by page and leaves the loop free in between.
Task<StatusOr<int64_t>> EvictAnswers(Store& store, EvictionFilter filter);

// Entries and bytes of the answers for later runs, as the store estimates.
Task<StatusOr<Store::Size>> AnswersSize(Store& store);

}  // namespace millrace
