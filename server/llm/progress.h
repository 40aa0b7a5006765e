// The result of a call so far: what it has cost, and all that is to be stored with its outcome.
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
#include "server/base/status.h"
#include "server/llm/tally.h"
#include "server/storage/ledger.h"
#include "server/storage/store.h"

namespace millrace {

// How a call ended.
struct CallResult {
  Status status;
  std::string text;
  storage::v1::AnswerRecord answer;  // if OK
  Digest answer_key;                 // if OK: the key of the question as it was first asked
  bool from_memory = false;          // no attempt was made, or taken over, for it
  bool is_own = false;               // from memory, and the payer's run finds it again as it is
};

// The caller that pays for a call.
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

  // The index entries of a run, as the look-up found them under the keys.
  void SetOwn(const std::string& run, const std::vector<Digest>& call_keys,
              std::vector<storage::v1::SettledIndex> entries);

  void AddQuestion(const Digest& call_key, const storage::v1::QuestionRecord& question);
  // An answer that can't be used is found again only by the run that paid for it.
  void AddAnswer(const Digest& call_key, const storage::v1::AnswerRecord& answer, bool is_usable);
  // The answered attempt of this key gave an answer that can't be used.
  void MarkBad(const Digest& call_key, std::string_view error);

  // An attempt of this key is pending in the store; the settlement deletes it.
  void AddPending(const Digest& call_key);
  // An attempt that has ended and is not stored as settled, with its raw answer if it has one. It replaces a record of
  // the same attempt.
  void AddUnsettled(const Digest& call_key, storage::v1::PendingRecord record);
  // Returns the record of an attempt that is not settled; null if it was settled.
  storage::v1::PendingRecord* FindUnsettled(std::string_view attempt_id);

  // Adds the settled records of the attempts that failed to a batch that starts the next one, which takes the place of
  // the pending record. ForgetFailed follows once the batch is stored.
  void PutFailed(WriteBatch& batch, const Digest& next_key, SettledNumbers& numbers);
  void ForgetFailed();

  // Returns the pending records of everything that is not settled, for whoever asks next, if nobody takes the outcome.
  // The newest has the totals of the whole call.
  WriteBatch KeepUnclaimed();

  // Moves all but the attempt in flight of `asked_key` to a caller that gives up. An answer of it that is not judged
  // yet stays too: it is not settled without its verdict.
  CallProgress TakeSettled(const std::optional<Digest>& asked_key);

  // Returns all that must be committed with the effects of the caller, and forgets it. It gives out numbers from
  // `first_number`, at most NumbersNeeded(). One record for each question: its attempts, its text and its answer.
  WriteBatch Settle(const CallResult& result, const Payer& payer, int64_t first_number);
  int64_t NumbersNeeded() const { return static_cast<int64_t>(call_keys_.size() + unsettled_.size()) + 1; }

  // Bytes of text that Settle encodes.
  size_t bytes() const;

 private:
  struct Unsettled {
    Digest call_key;
    storage::v1::PendingRecord record;
    int64_t number = 0;  // given to it by a batch that may be stored or not; then it has a record of its own
  };
  struct NewAnswer {
    storage::v1::AnswerRecord record;
    bool is_usable = false;
  };
  class Settling;

  std::vector<Digest> call_keys_;
  std::string own_run_;
  std::map<Digest, storage::v1::SettledIndex> own_;  // entries of `own_run_`
  std::vector<Unsettled> unsettled_;
  std::vector<Digest> pending_;
  std::map<Digest, storage::v1::QuestionRecord> questions_;
  std::map<Digest, NewAnswer> answers_;
};

// Returns what another waiter commits: only what the payer's batch does not do for it. It may use one number.
WriteBatch SettleFollower(const CallResult& result, const Payer& payer, const Payer& follower, int64_t number);

}  // namespace millrace
