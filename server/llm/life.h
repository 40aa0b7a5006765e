// A call's life from the look-up to its end, as one coroutine: ask → judge → repair, ask again or give up; and to ask
// is: look up, wait for a slot, try, sort the failure, wait, try again. The steps are files of their own; this one says
// in which order they come.
//
// How own failures are counted: an answer that can't be used is remembered for its run and never paid for twice. Where
// another try may mend it (an empty answer, one that is not of the protocol) the question is asked again under a key of
// its own, at most `attempts_max` times; where it does not fit the schema a repair is asked for, under the key of that
// question; where this target would say the same (refusal, filter, cut by tokens or bytes, request refused) the next
// target is asked, and after the last one the call has failed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/random.h"
#include "server/llm/attempt.h"
#include "server/llm/cache.h"
#include "server/llm/coalesce.h"
#include "server/llm/host.h"
#include "server/llm/queue.h"
#include "server/llm/validate.h"
#include "server/storage/store.h"

namespace millrace {

// What lives as long as the server and serves every call.
struct CallParts {
  Loop& loop;
  Pool& pool;
  Store& store;
  Cache& cache;
  Queue& queue;
  KeyClaims& claims;
  AttemptSender& sender;
  AttemptNames& names;
  Random& random;
};

class CallLife {
 public:
  CallLife(CallParts parts, CallInFlight& call);
  CallLife(const CallLife&) = delete;

  // Resumes when the call has ended, and says so in it (`result`), or nobody waits for it any more. True: ended.
  Task<bool> Live();

 private:
  // An answer, good or bad, or the end of the call.
  struct Given {
    size_t route = 0;
    Digest key;
    storage::v1::AnswerRecord record;
    bool is_new = false;       // of an attempt: to be stored
    bool from_memory = false;  // found, and not by taking over an attempt
  };
  enum class Step { kGiven, kEnded, kAbandoned };
  // What is asked now: at first the request, later its repairs.
  struct Question {
    backend::Request request;
    std::string canonical;  // CanonicalRequest of it
  };

  Task<Step> Ask(const Question& question, int32_t retry, Given& given);
  // Answers and attempts that are there already; `is_given` where they gave one.
  Task<Step> LookUp(const Question& question, const std::vector<Digest>& keys, Given& given, bool& is_given);
  void TakeOver(const Digest& key, storage::v1::AttemptRecord pending);
  // A slot of the best target that may be tried now; nothing where nobody waits any more, or the server drains.
  Task<std::optional<size_t>> Bind();
  // One try. Nothing: it was given up before anything was sent.
  Task<std::optional<AttemptResult>> Try(size_t route, const Digest& key, backend::Request bound);
  void NoteAnswer(size_t route, const Digest& key, backend::Answer answer, Given& given);
  void NoteBad(size_t route, const Digest& key, std::string finish_reason, Given& given);
  // True: the call goes on.
  bool NoteFailure(size_t route, const backend::Failure& failure);
  void Fail(Status status);
  void Succeed(const Given& given, std::string text);
  bool HasRouteLeft() const;

  CallParts parts_;
  CallInFlight& call_;
  std::optional<Schema> schema_;
  std::vector<Digest> first_keys_;  // of the question as it was first asked, by route
  std::vector<bool> excluded_;      // routes that would say the same again
  std::vector<TimePoint> not_before_;
  std::vector<int32_t> failures_;  // in a row, by route
  std::vector<bool> refused_;      // routes whose newest failure people must mend
  uint64_t age_;
  std::string attempt_id_;  // of the newest attempt; empty: it has no record
};

}  // namespace millrace
