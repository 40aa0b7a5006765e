// What a provider's protocol is to the server: a state machine without I/O. A Backend is told what was configured, an
// Exchange what has happened to one call; they say what to do next, and the server does it. So timeouts, TLS, pooling,
// limits and virtual time are the same for all, and a backend is tested with plain bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/base/clock.h"
#include "server/base/reason.h"

namespace millrace::backend {

struct Message {
  std::string role;  // system, user, assistant
  std::string content;
};

// A question, as every provider can understand it.
struct Request {
  std::string model;  // the provider's name for it
  std::vector<Message> messages;
  std::string output_schema;  // JSON Schema; only `local` gets it with its `x-millrace-local`; empty: text
  int32_t max_tokens = 1024;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> seed;
  int64_t sample_number = 0;
};

// Why a model stopped.
enum class FinishReason { kStop, kLength, kContentFilter, kRefusal, kOther };

// A provider's whole answer.
struct Answer {
  std::string text;
  FinishReason finish_reason = FinishReason::kStop;
  std::optional<int64_t> input_tokens;  // as the provider counts
  std::optional<int64_t> output_tokens;
  std::string reported_model;  // empty: not told
};

// What an attempt came to. Policies branch on this, never on a status code.
enum class Outcome {
  kAnswered,     // whole answer
  kRefused,      // the call's own fault, final: bad request, unknown model, too long (`reason` says which)
  kAnsweredBad,  // whole answer that is not of the protocol
  kRateLimited,  // the target's: 429; `retry_after` where told
  kOverloaded,   // the target's: 503 and the like
  kServerError,  // the target's: 5xx
  kCredentials,  // the target's, final until mended: 401, 403
  kQuota,        // the target's, final until mended: money or quota used up
  kNotSent,      // the target's: no byte of the request left
  kUnknown,      // the target's: bytes were sent, no whole status came; maybe billed
  kPartial,      // the target's: cut after part of an answer; likely billed
  kTooLarge,     // the call's own: answer beyond the limit of bytes; billed
  kCancelled,    // we ended it
};

struct Failure {
  Outcome outcome = Outcome::kServerError;
  Reason reason = Reason::kNone;
  std::string message;                  // for people, secrets removed, at most 1 KiB
  std::optional<Duration> retry_after;  // as the provider asks
  int http_status = 0;
};

// --- What an exchange asks for ---

// Send this. `billable`: its answer is worth money or time, so the attempt is recorded before the first byte leaves.
struct SendHttp {
  std::string method = "POST";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  // A header whose value is a secret, put in by the server; `scheme` stands before it (`Bearer `). Empty name: none.
  std::string secret_header;
  std::string secret_scheme;
  std::string body;
  bool billable = true;
};
// Wait. A billable wait stands for a provider without I/O (`simulated`): the attempt is recorded before it begins.
struct Wait {
  Duration duration{};
  bool billable = false;
};
// The call is over.
struct Done {
  Answer answer;
};
struct Fail {
  Failure failure;
};
using Action = std::variant<SendHttp, Wait, Done, Fail>;

// --- What an exchange is told ---

// It begins, or its wait is over.
struct Resume {};
// A whole HTTP answer. Its raw body has been stored where it is billable.
struct HttpAnswered {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
using Input = std::variant<Resume, HttpAnswered>;

// One attempt of one call. Transport faults never reach it: the server classifies those by the bytes on the wire. Long
// questions and answers are looked at on another thread while the engine's goes on: an exchange reads only what is
// constant of its backend.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual Action Next(Input input) = 0;
};

// What a backend can do and what its answers depend on. The zero value means least able.
struct Manifest {
  std::string kind;             // local, simulated, openai
  std::string protocol_family;  // part of a call's key: `openai-chat`
  int dialect_version = 0;      // part of a call's key: raised when the same question is put differently
  bool has_schema = false;      // takes a JSON Schema with the request
  bool free_of_charge = false;  // sends nothing that could be billed: no attempt records
  std::string description;      // one sentence, for people
};

// One configured backend. Engine thread only.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Manifest& manifest() const = 0;
  // Starts one attempt. `attempt_seed` makes chance repeatable. The exchange may outlive nothing but the backend.
  virtual std::unique_ptr<Exchange> Start(const Request& request, uint64_t attempt_seed) = 0;
  // The answer out of raw bytes that were stored before a crash, as HttpAnswered would have given it.
  virtual Action Reparse(const Request& request, const HttpAnswered& answered) = 0;
};

}  // namespace millrace::backend
