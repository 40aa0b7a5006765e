// A call: one question to a model, and the two seams of its life. Policies on a call stack as CallHandlers (cache,
// coalesce, retry, validate …), policies on one try as AttemptSenders (limit, record, time). They branch on outcomes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/sdk/backend.h"
#include "millrace/storage/v1/records.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/base/stop_signal.h"
#include "server/base/task.h"
#include "server/storage/store.h"

namespace millrace {

// One question, before it is bound to a target.
struct CallRequest {
  std::string model_alias;
  backend::Request question;  // `question.model` is set when it is bound
  int32_t repairs = 1;        // how often an answer that does not fit is asked for again with the error
};

// Whose call it is.
struct CallContext {
  std::string run;  // empty: Generate
  std::string stage;
  std::vector<std::string> item_ids;
  int64_t priority = 0;         // higher first
  TimePoint deadline = kNever;  // of the whole call
  // How long its target may fail, from its first attempt; then it fails.
  Duration max_elapsed = std::chrono::hours(24);
  std::optional<Duration> cache_ttl;  // answers of earlier runs older than this are not reused
  bool look_up = true;                // reuse answers of earlier runs (answers given to this run always are)
  bool remember = true;               // keep the answer for later runs
  std::shared_ptr<StopSignal> stop;   // pause, cancel: no new attempt starts; may be null
};

// What a call came to.
struct CallOutcome {
  Status status;        // OK: `text` is the answer; else its reason is an ErrorReason
  std::string text;     // the answer, checked against the schema
  std::string backend;  // that gave it
  std::string model;    // its name for the model
  bool cache_hit = false;
  bool coalesced = false;
  bool stopped = false;                  // `stop` was set before there was an answer: nothing is settled
  std::vector<Digest> call_keys;         // of the question and its repairs, in order
  storage::v1::CallTotals totals;        // of this caller; a coalesced follower has no attempts
  std::vector<v1::Attempt> attempts;     // of this caller, oldest first, at most 100
  std::optional<int64_t> cost_nano_usd;  // of the answer's attempt; nullopt: unpriced
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  // What must be committed with the caller's own effects, in one batch: the answer under its key, the attempt's
  // settlement. The caller commits it (moment (c)); until then nothing of the answer is visible to others.
  WriteBatch settlement;
};

// Answers calls. Engine thread.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual Task<CallOutcome> Handle(CallContext context, CallRequest request) = 0;
};

}  // namespace millrace
