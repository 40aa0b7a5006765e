// Interface of a backend: a provider's protocol as a state machine without I/O. A Backend gets the configuration, an
// Exchange the events of one call; they return the next action, and the server performs it. So timeouts, TLS, pooling,
// limits and virtual time are the same for all backends, and tests need only bytes.
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

// A question in a form that every provider understands.
struct Request {
  std::string model;  // the provider's name for the model
  std::vector<Message> messages;
  std::string output_schema;  // JSON Schema; with `x-millrace-local` only for `local`; empty: text
  int32_t max_tokens = 1024;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> seed;
  int64_t sample_number = 0;
};

// Reason why a model stopped.
enum class FinishReason { kStop, kLength, kContentFilter, kRefusal, kOther };

// A complete answer of a provider.
struct Answer {
  std::string text;
  FinishReason finish_reason = FinishReason::kStop;
  std::optional<int64_t> input_tokens;  // as the provider counts them
  std::optional<int64_t> output_tokens;
  std::string reported_model;  // empty: not reported
};

// Outcome of an attempt. Policies depend on this, never on a status code.
enum class Outcome {
  kAnswered,     // complete answer
  kRefused,      // fault of the call, permanent: bad request, unknown model, too long (see `reason`)
  kAnsweredBad,  // complete answer that violates the protocol
  kRateLimited,  // fault of the target: 429; `retry_after` if the provider sent it
  kOverloaded,   // fault of the target: 503 and similar
  kServerError,  // fault of the target: 5xx
  kCredentials,  // fault of the target, until a human repairs it: 401, 403
  kQuota,        // fault of the target, until a human repairs it: money or quota used up
  kNotSent,      // fault of the target: no byte of the request was sent
  kUnknown,      // fault of the target: request sent, no complete status received; maybe billed
  kPartial,      // fault of the target: cut in the middle of the answer; likely billed
  kTooLarge,     // fault of the call: answer above the limit of bytes; billed
  kCancelled,    // the server ended it
};

struct Failure {
  Outcome outcome = Outcome::kServerError;
  Reason reason = Reason::kNone;
  std::string message;                  // for people, secrets removed, at most 1 KiB
  std::optional<Duration> retry_after;  // wait that the provider asks for
  int http_status = 0;
};

// --- Actions of an exchange ---

// Send this request. `billable`: the response may cost money, so the attempt is recorded before the first byte is sent.
struct SendHttp {
  std::string method = "POST";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  // Header with a secret, inserted by the server after `scheme` (`Bearer `). Empty: no such header.
  std::string secret_header;
  std::string secret_scheme;
  std::string body;
  bool billable = true;
};
// Wait. A billable wait simulates a provider without I/O (`simulated`); the attempt is recorded before it starts.
struct Wait {
  Duration duration{};
  bool billable = false;
};
// The attempt has ended.
struct Done {
  Answer answer;
};
struct Fail {
  Failure failure;
};
using Action = std::variant<SendHttp, Wait, Done, Fail>;

// --- Inputs of an exchange ---

// The exchange starts, or its wait is over.
struct Resume {};
// A complete HTTP response. If the request is billable, its raw body is already stored.
struct HttpAnswered {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};
using Input = std::variant<Resume, HttpAnswered>;

// One attempt of one call. Transport errors never reach it: the server classifies them by the bytes on the wire. Long
// questions and answers are processed on another thread while the engine thread continues, so an exchange may read
// only immutable state of its backend.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual Action Next(Input input) = 0;
};

// Capabilities of a backend, and versions on which its answers depend. Zero values mean least capable.
struct Manifest {
  std::string kind;             // name of the member of BackendConfig.kind
  std::string protocol_family;  // part of a call's key: `openai-chat`
  int dialect_version = 0;      // part of a call's key: incremented when the same question is sent differently
  bool free_of_charge = false;  // sends nothing that could be billed, so attempts are not recorded
  // Schemas keep the annotation `x-millrace-local`, which is meant for this backend.
  bool takes_local_annotations = false;
  // Headers of an answer that Reparse needs, in lower case: they are stored with its body.
  std::vector<std::string> kept_headers = {};
  std::string description;  // one sentence, for people
};

// A configured backend. Engine thread only.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Manifest& manifest() const = 0;
  // Starts one attempt. `attempt_seed` makes random choices reproducible. The backend outlives the exchange; the
  // request need not.
  virtual std::unique_ptr<Exchange> Start(const Request& request, uint64_t attempt_seed) = 0;
  // Parses raw bytes that were stored before a crash, with the result that HttpAnswered would have given.
  virtual Action Reparse(const Request& request, const HttpAnswered& answered) = 0;
};

}  // namespace millrace::backend
