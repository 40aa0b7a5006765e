// The host drives backends: it does what an exchange asks for (HTTP, waits, secrets) and gives it the response as it
// comes, so that limits, classes and virtual time are the same for all. One try is sent through the seam AttemptSender.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "backends/sdk/backend.h"
#include "millrace/storage/v1/records.pb.h"
#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/stop_signal.h"
#include "server/base/task.h"
#include "server/http/client.h"
#include "server/llm/target.h"
#include "server/trace/span.h"

namespace millrace {

// Result of one attempt.
using AttemptResult = std::variant<backend::Answer, backend::Failure>;

// A whole answer as it came, with the headers that its backend needs to parse it again.
struct RawAnswer {
  int http_status = 0;  // 0: of a provider without HTTP, see PackAnswer
  HttpHeaders headers;
  std::string body;
};
// Moves a raw answer into the record of its attempt.
void SetRawAnswer(storage::v1::PendingRecord& record, RawAnswer answer);
// Returns a copy of the raw answer in a record.
RawAnswer RawAnswerOf(const storage::v1::PendingRecord& record);

// Receiver of an attempt's moments. The sender awaits each of its methods before the attempt continues.
class AttemptMoments {
 public:
  virtual ~AttemptMoments() = default;
  // (a) Before the first billable byte leaves, or the billable wait begins. False: it must not be sent any more.
  virtual Task<bool> Started() = 0;
  // Bytes of the response have come.
  virtual void Received() {}
  // The last byte came, or the attempt failed. The recorder frees its slot later: for an answer once it may be stored.
  virtual void Ended() = 0;
  // (b) After a whole billable answer, before it counts: before its exchange gets End, or has its Done accepted.
  virtual Task<void> Answered(RawAnswer answer) = 0;
  // The next part of the answer's text has come. Provisional: the attempt may still fail.
  virtual void Delta(std::string_view text) = 0;
};

// One attempt of one call at one target.
struct AttemptOrder {
  BackendEntry* entry = nullptr;
  backend::Question question;  // `model` set, annotations that are not for it stripped
  CallTimeouts timeouts;
  uint64_t seed = 0;
  std::shared_ptr<StopSignal> stop;  // closes the provider's connection; may be null
  trace::Ref trace;                  // the span that the attempt is part of; may be empty
  HttpHeaders headers;               // added to every request
  // Sent in place of the question, for what is not a call: a probe. Null: the backend starts one for the question.
  std::shared_ptr<backend::Exchange> exchange = nullptr;
};

// Sends attempts. Engine thread. `moments` must live until it resumes.
class AttemptSender {
 public:
  virtual ~AttemptSender() = default;
  virtual Task<AttemptResult> Send(AttemptOrder order, AttemptMoments& moments) = 0;
};

// A whole answer as raw bytes, for what has no HTTP of its own; and back. An answer that can't be read is a failure.
std::string PackAnswer(const backend::Answer& answer);
AttemptResult UnpackAnswer(const std::string& raw);

// An answer out of the raw bytes of moment (b), read by a new exchange of its question.
AttemptResult Reparse(backend::Exchange& exchange, RawAnswer answer);

struct HostLimits {
  size_t response_bytes_max = 8u << 20;
};

class Host final : public AttemptSender {
 public:
  // `slow_pool`: for exchanges whose cost is not known to be small; null: `pool`.
  Host(Loop& loop, Pool& pool, HttpClient& http, HostLimits limits, Pool* slow_pool = nullptr)
      : loop_(loop), pool_(pool), slow_pool_(slow_pool != nullptr ? *slow_pool : pool), http_(http), limits_(limits) {}

  Task<AttemptResult> Send(AttemptOrder order, AttemptMoments& moments) override;

 private:
  struct Attempt;
  class Response;

  // Do what the exchange asks for, and return its next action; Fail if that could not be done.
  Task<backend::Action> Perform(Attempt& attempt, backend::SendHttp send);
  Task<backend::Action> Perform(Attempt& attempt, backend::Wait wait);
  // Returns the action that follows a request: of the exchange, or Fail for a response that is not whole.
  Task<backend::Action> Conclude(Attempt& attempt, const HttpResult& result, Response& response);
  // Moment (b).
  Task<void> Store(Attempt& attempt, RawAnswer raw);
  Task<backend::Action> Next(std::shared_ptr<backend::Exchange> exchange, backend::Input input, size_t bytes);

  Loop& loop_;
  Pool& pool_;
  Pool& slow_pool_;
  HttpClient& http_;
  const HostLimits limits_;
};

}  // namespace millrace
