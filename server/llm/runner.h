// A call's life from the first look-up to its end, as one coroutine: it asks, judges the answer, and then ends, asks
// for a repair, asks again or gives up. To ask is to claim the question's keys, look them up, wait for a slot, send an
// attempt, decide what follows from a failure, wait, and send another attempt. Each step has a file of its own; the
// runner, in runner.cc, ask.cc and take_over.cc, has their order.
//
// An answer that can't be used is kept for its run, so that it is not paid for twice. Its cause decides what follows:
// - Another attempt may cure it (an empty answer, one that is not of the protocol): the question is asked again under a
//   key of its own, until it has had `max_attempts` answers.
// - It does not fit the schema: a repair is asked for, which is another question with its own key.
// - This target would answer the same (refusal, filter, cut by tokens or bytes, request refused): the next target is
//   asked, and after the last one the call has failed.
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
  Pool& slow_pool;  // for work whose cost is not known to be small
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
    std::vector<std::vector<float>> vectors;  // of a batch of texts
    bool is_new = false;                      // of an attempt: to be stored
    bool from_memory = false;                 // found, and not by taking over an attempt
    bool is_own = false;                      // found as an answer that was given to the payer's run
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
    SchemaPtr schema;       // of the request; null: any text will do
    std::string answer;     // of a repair of fields: the answer that they are put into; else empty
  };

  // Returns the parent of spans: the repair or other question that is asked now, or the call.
  trace::Ref Place() const { return again_ ? again_.ref() : call_.place(); }

  // ask.cc
  Task<AskResult> Ask(const Question& question, int32_t retry, Candidate& candidate);
  Task<AskResult> SendUntilAnswered(const Question& question, const std::vector<Digest>& keys, Candidate& candidate);
  // Waits until the limits of a target let an attempt begin; nothing if nobody waits any more, or the server drains.
  struct Acquired {
    size_t route = 0;
    Admitted admitted;
  };
  Task<std::optional<Acquired>> AcquireTarget(const Question& question);
  // One attempt. Nothing: it was given up before anything was sent.
  Task<std::optional<AttemptResult>> Try(const Acquired& at, const Digest& key, backend::Question asked);
  backend::Question QuestionFor(const Question& question, const Target& target) const;
  void AcceptAnswer(size_t route, const Digest& key, backend::Answer answer, Candidate& candidate);
  void AcceptBadAnswer(size_t route, const Digest& key, const backend::Failure& failure, Candidate& candidate);
  // Returns whether the call continues.
  bool HandleFailure(const Acquired& acquired, const backend::Failure& failure);
  // Ends the call, and returns true, if a human must repair every target that is left.
  bool IsBlocked(const backend::Failure& failure);
  void NoteQuestion(const Question& question, const Digest& key);

  // take_over.cc: answers and attempts that exist already. FindAnswer returns nullopt if none does.
  Task<std::optional<AskResult>> FindAnswer(const Question& question, const std::vector<Digest>& keys,
                                            Candidate& candidate);
  Task<AskResult> TakeAnswer(const Question& question, size_t route, const Digest& key,
                             storage::v1::PendingRecord pending, Candidate& candidate);
  void TakeOver(const Digest& key, storage::v1::PendingRecord pending);

  Task<Verdict> JudgeAnswer(const Question& question, Candidate& candidate);
  // Makes `question` the repair of an answer to it. Fails if the schema of its fields can't be used.
  Task<Status> BecomeRepair(Question& question, std::string answer, Status fault);

  void Fail(Status status);
  void Succeed(Candidate candidate, std::string text);

  // The texts that are asked for instead of a question.
  const std::optional<TextBatch>& texts() const { return call_.question.request.texts; }

  RunnerDeps deps_;
  CallInFlight& call_;
  SchemaPtr schema_;                // of the call; null: any text will do
  std::vector<Digest> first_keys_;  // of the question as it was first asked, by route
  RouteStates routes_;
  uint64_t age_;
  trace::Span again_;       // while a repair, or the question again, is asked
  std::string attempt_id_;  // of the newest attempt; empty: it has no record
  // Attempts whose outcome is unknown. Those that a crash of this server cut are not among them: they say nothing
  // against the provider, and a run must survive any number of crashes.
  int32_t unknowns_ = 0;
};

}  // namespace millrace
