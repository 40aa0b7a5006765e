// A call's life from the look-up to its end, as one coroutine: ask → judge → repair, ask again or give up; and to ask
// is: look up, wait for a slot, try, decide what follows from a failure, wait, try again. The steps are files of their
// own; the runner says in which order they come. Retries, repairs and look-ups are its members, in runner.cc, ask.cc
// and take_over.cc.
//
// How a call's own failures are counted: an answer that can't be used is remembered for its run and never paid for
// twice. If another try may cure it (an empty answer, one that is not of the protocol), the question is asked again
// under a key of its own, at most `attempts_max` times. If it does not fit the schema, a repair is asked for, under the
// key of that question. If this target would say the same (refusal, filter, cut by tokens or bytes, request refused),
// the next target is asked, and after the last one the call has failed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/llm/attempt.h"
#include "server/llm/cache.h"
#include "server/llm/call_in_flight.h"
#include "server/llm/host.h"
#include "server/llm/queue.h"
#include "server/llm/route.h"
#include "server/llm/schema_cache.h"
#include "server/llm/validate.h"
#include "server/storage/ledger.h"
#include "server/storage/store.h"

namespace millrace {

// Serves every call, and lives as long as the server.
struct RunnerDeps {
  Loop& loop;
  Pool& pool;
  Store& store;
  Cache& cache;
  Queue& queue;
  KeyClaims& claims;
  SchemaCache& schemas;
  SettledNumbers& numbers;
  AttemptSender& sender;
  AttemptNames& names;
  Random& random;
};

class CallRunner {
 public:
  CallRunner(RunnerDeps deps, CallInFlight& call);
  CallRunner(const CallRunner&) = delete;

  // Resumes with true when the call has ended (the end is in `call.result`), with false when nobody waits for it any
  // more.
  Task<bool> Run();

 private:
  // An answer that is not judged yet.
  struct Candidate {
    size_t route = 0;
    Digest key;
    storage::v1::AnswerRecord record;
    bool is_new = false;       // of an attempt: to be stored
    bool from_memory = false;  // found, and not by taking over an attempt
    bool is_own = false;       // found as an answer that was given to the payer's run
  };
  enum class AskResult {
    kAnswered,   // the candidate is there
    kEnded,      // the call has failed, or the server drains
    kAbandoned,  // nobody waits any more
  };
  // The question that is asked now: at first the request, later its repairs.
  struct Question {
    backend::Request request;
    std::string canonical;  // CanonicalRequest of it
  };

  // ask.cc
  Task<AskResult> Ask(const Question& question, int32_t retry, Candidate& candidate);
  Task<AskResult> SendUntilAnswered(const Question& question, const std::vector<Digest>& keys, Candidate& candidate);
  // Waits for a slot of the best target that is free to try now; nothing if nobody waits any more, or the server
  // drains.
  Task<std::optional<size_t>> AcquireTarget();
  // One attempt. Nothing: it was given up before anything was sent.
  Task<std::optional<AttemptResult>> Try(size_t route, const Digest& key, backend::Request request);
  backend::Request RequestFor(const Question& question, const Target& target) const;
  void AcceptAnswer(size_t route, const Digest& key, backend::Answer answer, Candidate& candidate);
  void AcceptBadAnswer(size_t route, const Digest& key, std::string finish_reason, Candidate& candidate);
  // Returns whether the call continues.
  bool HandleFailure(size_t route, const backend::Failure& failure);
  void NoteQuestion(const Question& question, const Digest& key);

  // take_over.cc: answers and attempts that are there already. Nothing: none is, ask.
  Task<std::optional<AskResult>> FindAnswer(const Question& question, const std::vector<Digest>& keys,
                                            Candidate& candidate);
  Task<AskResult> TakeAnswer(const Question& question, size_t route, const Digest& key,
                             storage::v1::PendingRecord pending, Candidate& candidate);
  void TakeOver(const Digest& key, storage::v1::PendingRecord pending);

  void Fail(Status status);
  void Succeed(const Candidate& candidate, std::string text);

  RunnerDeps deps_;
  CallInFlight& call_;
  SchemaPtr schema_;                // null: any text will do
  std::vector<Digest> first_keys_;  // of the question as it was first asked, by route
  RouteStates routes_;
  uint64_t age_;
  std::string attempt_id_;  // of the newest attempt; empty: it has no record
};

}  // namespace millrace
