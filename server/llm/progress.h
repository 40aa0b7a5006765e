// What a call has come to so far: its totals and attempts, and all that is to be stored with its outcome.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/storage/v1/records.pb.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/llm/call.h"
#include "server/storage/store.h"

namespace millrace {

// An answer that is to be stored.
struct NewAnswer {
  Digest call_key;
  storage::v1::AnswerRecord record;
  bool usable = false;  // what can't be used is only found again by the run that paid for it
};

struct CallProgress {
  storage::v1::CallTotals totals;
  std::vector<v1::Attempt> attempts;  // at most kAttemptsKept
  std::vector<Digest> call_keys;      // in order, each once
  // Attempts whose end is not stored as settled, with the key of their call. The raw answer is in the record.
  std::vector<std::pair<Digest, storage::v1::AttemptRecord>> unsettled;
  // Keys under which an attempt of this call is pending in the store.
  std::vector<Digest> pending;
  std::vector<std::pair<Digest, storage::v1::QuestionRecord>> questions;
  std::vector<NewAnswer> answers;
  static constexpr size_t kAttemptsKept = 100;

  void AddKey(const Digest& call_key);
  void AddAttempt(const v1::Attempt& attempt);
  // The answered attempt of this key gave an answer that can't be used.
  void MarkBad(const Digest& call_key, std::string_view error);
  void AddPending(const Digest& call_key);
  void AddQuestion(const Digest& call_key, const storage::v1::QuestionRecord& question);
};

// It was answered, usably or not.
bool HasAnswer(const v1::Attempt& attempt);

// How a call ended.
struct CallResult {
  Status status;
  std::string text;
  storage::v1::AnswerRecord answer;  // of OK
  Digest answer_key;                 // of OK: the key of the question as it was first asked
  bool from_memory = false;          // no attempt was made, or taken over, for it
};

// Who is told, and pays.
struct Payer {
  std::string run;
  bool remember = true;
};

// Moment (c): all that must be committed with the effects of the call. Leaves `progress` without it.
WriteBatch Settle(CallProgress& progress, const CallResult& result, const Payer& payer);

// What another waiter commits: only what the payer's batch does not do for it.
WriteBatch SettleFollower(const CallResult& result, const Payer& payer, const Payer& follower);

}  // namespace millrace
