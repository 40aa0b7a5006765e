// A call: one question to a model, with its repairs and all attempts until it has an answer. Calls (calls.h) joins
// equal calls, a CallRunner (runner.h) takes each through its life, one file for each step, and an AttemptSender
// (host.h) sends one attempt. The next step after a failure depends on its class (classify.h, retry.h), never on a
// status code.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/sdk/backend.h"
#include "millrace/storage/v1/records.pb.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/status.h"
#include "server/base/stop_signal.h"
#include "server/base/task.h"
#include "server/llm/blockage.h"
#include "server/llm/model_lease.h"
#include "server/llm/settlement.h"
#include "server/trace/span.h"

namespace millrace {

// Texts that are embedded in one request to a provider.
struct TextBatch {
  backend::EmbedRequest request;  // without `model`: each target has its own
  std::vector<Digest> keys;       // call keys of the texts, all different: their vectors are cached under these
};

// One question, before a target is chosen.
struct CallRequest {
  std::string model_alias;
  backend::Request question;  // without `model`: each target has its own
  int32_t repairs = 1;        // questions after answers that do not fit the schema, each with the error
  // Asked instead of `question`. The settlement has an answer for each text, and none for the batch.
  std::optional<TextBatch> texts = std::nullopt;
};

// Receiver of an answer's text while it is made. The text is provisional until the call has ended: then the outcome's
// text is the answer, whatever came here. An answer that was remembered, or that comes from a provider that does not
// stream, is only in the outcome. Its methods are called on the engine thread and must not start or end calls.
class DeltaSink {
 public:
  virtual ~DeltaSink() = default;
  // Takes the next part of the text, valid UTF-8 and not empty.
  virtual void Delta(std::string_view text) = 0;
  // The text so far is dropped, because another attempt begins.
  virtual void Restarted() = 0;
};

// The caller of a call, and its rules.
struct CallContext {
  std::string run;  // empty: Generate
  std::string stage;
  std::vector<std::string> item_ids;
  int64_t priority = 0;         // higher first
  TimePoint deadline = kNever;  // of the whole call
  // Longest time from the first attempt of the call, which may be before this caller joined it, once an attempt has
  // failed. Then this caller gives up. A call without a failed attempt is limited by `deadline` alone.
  Duration max_elapsed = std::chrono::hours(24);
  std::optional<Duration> cache_ttl;   // largest age of an answer of an earlier run
  bool look_up = true;                 // reuse answers of earlier runs (answers given to this run always are)
  bool remember = true;                // keep the answer for later runs
  std::shared_ptr<StopSignal> stop;    // pause, cancel: no new attempt starts; may be null
  std::shared_ptr<ModelLease> models;  // of the run's episode; null: models are used as they are now
  // Receives the text while it is made; may be null. If the last caller that waits has one and leaves, the provider's
  // connection is closed; without one, the attempt in flight is read to its end and kept for the next caller.
  std::shared_ptr<DeltaSink> deltas;
  trace::Ref trace;  // the span that the call is part of; may be empty
};

// How a call ended, for one caller.
struct CallOutcome {
  Status status;                                 // OK: `text` is the answer; else it has a reason
  std::string text;                              // the answer, checked against the schema
  std::vector<std::vector<float>> vectors = {};  // the answer to `texts`, in their order
  std::string backend;                           // name of the backend that answered
  std::string model;                             // the provider's name of the model
  bool cache_hit = false;
  bool coalesced = false;  // joined a call that was in flight
  // The item stays open without a settlement: `stop` was set before the answer came, the server goes down, or a
  // human must repair every target that is left. Only a run's calls stop for the last two; others get the error.
  bool stopped = false;
  std::vector<Blockage> blockages;       // those targets
  std::vector<Digest> call_keys;         // of the question and its repairs, in order
  storage::v1::CallTotals totals;        // of this caller; a caller that joined has no attempts
  std::vector<v1::Attempt> attempts;     // of this caller, oldest first, the newest 100
  std::optional<int64_t> cost_nano_usd;  // of the answer's attempt; nullopt: unpriced
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  // The caller commits this with its own effects in one batch. Nobody else sees the answer before. It is empty if the
  // caller was stopped: attempts that were paid for are then left to the other waiters, or as pending records to the
  // next asker. A caller that gave up before another waiter did gets none either.
  Settlement settlement;
};

// Answers calls. Engine thread only.
class CallHandler {
 public:
  virtual ~CallHandler() = default;

  // Resumes with the answer, the failure, or `stopped`.
  virtual Task<CallOutcome> Handle(CallContext context, CallRequest request) = 0;
};

}  // namespace millrace
