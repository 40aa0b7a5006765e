// The result of a call so far: its cost, and everything that is stored with its outcome. An attempt that has ended is
// *unsettled* until a batch with its settled record is committed; its pending record is in the store until then.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/llm/tally.h"
#include "server/storage/ledger.h"
#include "server/storage/store.h"

namespace millrace {

// How a call ended.
struct CallResult {
  Status status;
  std::string text;
  storage::v1::AnswerRecord answer;         // if OK
  std::vector<std::vector<float>> vectors;  // if OK: of a batch of texts
  Digest answer_key;                        // if OK: the key of the question as it was first asked
  bool from_memory = false;                 // a cached answer, or one that was given to this run: no attempt was needed
  bool is_own = false;                      // from memory, and the payer's run finds it again as it is
};

// The caller that pays for a call: attempts, costs and the question are stored for its run.
struct Payer {
  std::string run;
  bool remember = true;
};

class CallProgress {
 public:
  Tally tally;

  // Keys of the questions that were asked, in order, each once.
  const std::vector<Digest>& call_keys() const { return call_keys_; }
  void AddKey(const Digest& call_key);

  // Sets the index entries of a run, as the look-up found them under the keys.
  void SetOwn(const std::string& run, const std::vector<Digest>& call_keys,
              std::vector<storage::v1::SettledIndex> entries);

  // Returns the run that paid at the newest look-up.
  const std::string& own_run() const { return own_run_; }

  void AddQuestion(const Digest& call_key, const storage::v1::QuestionRecord& question);
  // Adds an answer. If it is not usable, only the run that paid for it finds it again.
  void AddAnswer(const Digest& call_key, const storage::v1::AnswerRecord& answer, bool is_usable);
  // Marks the answered attempt of this key: its answer can't be used. Forgets its raw bytes, which are in the store.
  void MarkBad(const Digest& call_key, std::string_view error);

  // Notes that the store has a pending record under this key, which the settlement deletes.
  void AddPending(const Digest& call_key);
  // Adds an attempt that has ended and is not settled, with its raw answer if it has one. Replaces a record of the same
  // attempt.
  void AddUnsettled(const Digest& call_key, storage::v1::PendingRecord record);
  // Returns the record of an unsettled attempt; null if it is settled.
  storage::v1::PendingRecord* FindUnsettled(std::string_view attempt_id);

  // Names the run that pays for the next attempt (Tally::SetPayer). The totals of the one before stay with its attempts.
  void SetPayer(const std::string& run);

  // Settles the attempts that failed, in the batch that stores the start of the next attempt: adds their settled
  // records, and deletes their pending records, except the one under `next_key`, which that batch overwrites. Call
  // ForgetFailed once the batch is stored. If nobody knows whether it is, a second call uses the same numbers again.
  void PutFailed(WriteBatch& batch, const Digest& next_key, SettledNumbers& numbers);
  void ForgetFailed();

  // Returns the pending records of all unsettled attempts, for a call that no caller waits for any more: whoever asks
  // one of its questions next takes them over. The newest record of the run that pays has the totals of the whole call.
  // An attempt whose answer was bad is left as the store has it: with its raw bytes, and the totals up to its answer.
  WriteBatch KeepPending();

  // Moves everything that has ended to a caller that gives up, which settles it. The attempt of `asked_key` stays here,
  // whether it is in flight or its answer is not judged yet: an attempt is not settled without its verdict.
  CallProgress TakeEnded(const std::optional<Digest>& asked_key);

  // Returns everything that the payer must commit with its own effects, and clears it here. Each question becomes one
  // record: its attempts, its text and its answer. Uses the numbers from `first_number`, at most NumbersNeeded().
  WriteBatch Settle(const CallResult& result, const Payer& payer, int64_t first_number);
  int64_t NumbersNeeded() const { return static_cast<int64_t>(call_keys_.size() + unsettled_.size()) + 1; }

  // Returns the bytes of text that Settle encodes.
  size_t bytes() const;

 private:
  struct Unsettled {
    Digest call_key;
    storage::v1::PendingRecord record;
    int64_t number = 0;  // not 0: a batch that may or may not be stored gave it this number, and a record of its own
    bool is_judged = false;  // its answer was bad: the record has only the run, the attempt and the totals
  };
  struct NewAnswer {
    storage::v1::AnswerRecord record;
    bool is_usable = false;
  };
  class Settling;
  enum class Settles { kFailed, kAll };

  // Gives the totals of the run that pays to its newest unsettled attempt.
  void KeepTotals();
  // Counts the attempts of other runs that the batch settles in the runs that made them.
  void PutCountsOfOthers(WriteBatch& batch, Settles settles,
                         absl::FunctionRef<bool(const std::string& run)> is_own) const;

  std::vector<Digest> call_keys_;
  std::string own_run_;
  std::map<Digest, storage::v1::SettledIndex> own_;  // entries of `own_run_`
  std::vector<Unsettled> unsettled_;
  std::vector<Digest> pending_;
  std::map<Digest, storage::v1::QuestionRecord> questions_;
  std::map<Digest, NewAnswer> answers_;
};

// Returns the batch of a waiter that does not pay (a *follower*): a copy of the answer for its run, if that is another
// run than the payer's, and the entry for later runs, if the follower lets later runs find its answers and the payer
// does not. Empty if the call failed, or if the payer's batch does all of that. Uses at most the one number.
WriteBatch SettleFollower(const CallResult& result, const Payer& payer, const Payer& follower, int64_t number);

}  // namespace millrace
