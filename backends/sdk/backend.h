// Interface of a backend: a provider's protocol as a state machine without I/O. A Backend gets the configuration, an
// Exchange the events of one attempt; they return the next action, and the server performs it. So timeouts, TLS,
// pooling, limits and virtual time are the same for all backends, and tests need only bytes. Every value that crosses
// this interface is a plain struct of numbers and bytes, so that it can be expressed as a table of C functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "backends/sdk/errand.h"
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
  // The caller reads the answer while it is made, so the backend should ask for a stream. Not part of the call's key: a
  // stored response is read by an exchange without it, so a backend recognizes a stream by the response.
  bool wants_deltas = false;
};

// Texts to embed in one request.
struct EmbedRequest {
  std::string model;                  // the provider's name for the model
  std::vector<std::string> texts;     // at least one
  std::optional<int32_t> dimensions;  // size of the vectors; absent: the model's own
};

// One question to a provider.
using Question = std::variant<Request, EmbedRequest>;

// Reason why a model stopped.
enum class FinishReason {
  kStop,
  kLength,         // the token limit cut the answer
  kContentFilter,  // the provider withheld the answer or a part of it
  kRefusal,        // the model declined
  kOther,          // a reason that the backend does not know as a good end
};

// Limits of a provider and what is left of them, as a response reports them. Absent: not reported, or not plausible.
struct RateHint {
  std::optional<int64_t> limit_requests;      // in the provider's window, often a minute
  std::optional<int64_t> remaining_requests;  // until the window is full
  std::optional<Duration> reset_requests;     // time from the response until the whole limit is available again
  std::optional<int64_t> limit_tokens;
  std::optional<int64_t> remaining_tokens;
  std::optional<Duration> reset_tokens;

  bool operator==(const RateHint&) const = default;
};

// A complete answer of a provider.
struct Answer {
  std::string text;                         // of a Request
  std::vector<std::vector<float>> vectors;  // of an EmbedRequest: one for each text, in order
  FinishReason finish_reason = FinishReason::kStop;
  std::optional<int64_t> input_tokens;  // as the provider counts them
  std::optional<int64_t> output_tokens;
  std::string reported_model;  // empty: not reported
  RateHint rate;               // empty if the answer comes from a stored response
};

// Outcome of an attempt. Policies depend on this, never on a status code.
enum class Outcome {
  kAnswered,     // complete answer
  kRefused,      // fault of the call, permanent: bad request, too long (see `reason`)
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
  kNoModel,      // fault of the target, until a human repairs it: it does not know the model or the path
  kNoHost,       // fault of the target, until a human repairs it: its host name does not exist
};

struct Failure {
  Outcome outcome = Outcome::kServerError;
  Reason reason = Reason::kNone;
  std::string message;                  // for people, secrets removed, at most 1 KiB
  std::optional<Duration> retry_after;  // wait that the provider asks for
  int http_status = 0;
  RateHint rate = {};
};

// --- Actions of an exchange ---

// Authorization of a request. The backend never sees a secret: the server adds it, and only to the origin (scheme, host
// and port) that the backend was configured with.
struct NoAuth {};
struct HeaderAuth {
  std::string header;  // `Authorization`
  std::string scheme;  // written before the secret: `Bearer `
};
// AWS Signature Version 4 over method, URL, headers and body, with the backend's AWS credentials.
struct SigV4Auth {
  std::string region;
  std::string service;
};
using Auth = std::variant<NoAuth, HeaderAuth, SigV4Auth>;

using Headers = std::vector<std::pair<std::string, std::string>>;

// Send this request. `billable`: the response may cost money, so the attempt is recorded before the first byte is sent.
// At most one request of an exchange may be billable.
struct SendHttp {
  std::string method = "POST";
  std::string url;  // http and https; grpc and grpcs are RPCs, see server/rpc/grpc_client.h
  Headers headers;
  Auth auth;
  std::string body;
  bool billable = true;
};
// Continue with the response to the request that was sent. `delta`: text of the answer that its caller may read at
// once, valid UTF-8; provisional until Done. All deltas joined are the beginning of the answer's text; Done brings the
// whole text.
struct More {
  std::string delta;
};
// Wait. A billable wait simulates a provider without I/O (`simulated`); the attempt is recorded before it starts.
struct Wait {
  Duration duration{};
  bool billable = false;
};
// The attempt has ended. If the response has not, the server closes its connection.
struct Done {
  Answer answer;
};
struct Fail {
  Failure failure;
};
using Action = std::variant<SendHttp, More, Wait, Done, Fail>;

// --- Inputs of an exchange ---

// The exchange starts, or its wait is over.
struct Resume {};
// Status and headers of the response. Comes first in a response, once.
struct Head {
  int status = 0;
  Headers headers;
};
// The next bytes of the response's body, at least one.
struct Bytes {
  std::string bytes;
};
// The response is complete by HTTP's framing. If its request was billable and its status is 2xx, its raw body is
// already stored.
struct End {};
using Input = std::variant<Resume, Head, Bytes, End>;

// One attempt of one call. Transport errors never reach it: the server classifies them by the bytes on the wire. Long
// questions and answers are processed on another thread while the engine thread continues, so an exchange may read
// only immutable state of its backend.
//
// An exchange gets Resume first, and a whole response (Head, any number of Bytes, End) after each SendHttp, of which it
// answers all but the last input with More; it may end the attempt earlier with Done or Fail. If a response was stored
// before a crash, a new exchange gets the response to its billable request as its first inputs, without Resume (as one
// Bytes; if Done came before End, up to the bytes that it answered with Done); it must give the result of the first
// one.
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
  bool may_bill = true;         // an attempt without a whole answer may cost money, so that `max_extra` bounds them
  // Part of a call's key: options of the configuration that change answers, as canonical JSON; empty: none.
  std::string answer_options = {};
  // Things in the configuration that a person should know, one sentence each. The server logs them once.
  std::vector<std::string> warnings = {};
  // Schemas keep the annotation `x-millrace-local`, which is meant for this backend.
  bool takes_local_annotations = false;
  // Headers that an exchange needs to read a stored response, in lower case: they are stored with its body.
  std::vector<std::string> kept_headers = {};
  std::string description;  // one sentence, for people
  // Errands that the configuration asks for.
  Upkeep upkeep = {};
  // The server reports revisions of models to probes. They are part of a call's key, unless the configuration has one.
  bool reports_revisions = false;
  // Advice for people if the server can't be reached, as the end of a sentence: `start it with …`. Empty: none.
  std::string if_unreachable = {};
};

// Limits of one EmbedRequest.
struct EmbedLimits {
  int32_t texts = 0;   // 0: the model does not embed
  int64_t tokens = 0;  // of all texts together; 0: no limit
};

class Probe;  // backends/sdk/probe.h

// A configured backend. Engine thread only.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Manifest& manifest() const = 0;
  // Starts one attempt. `attempt_seed` makes random choices reproducible. The backend outlives the exchange; the
  // question need not. A backend that does not embed fails an EmbedRequest with kRefused.
  virtual std::unique_ptr<Exchange> Start(const Question& question, uint64_t attempt_seed) = 0;
  // Returns what the provider takes in one EmbedRequest for this model. Unless overridden: it does not embed.
  virtual EmbedLimits embed_limits(std::string_view /*model*/) const { return {}; }
  // Starts a probe of the provider's server, for these models as the configuration names them. The backend outlives it.
  // Null, unless overridden: the backend has no server, or its server says nothing of its state without a charge.
  virtual std::unique_ptr<Probe> StartProbe(std::vector<std::string> models) const;
  // Starts an errand for a model: an exchange of requests that are not billable. It ends with Fail, or with Done and an
  // empty answer; a delta is a line of progress for people, which replaces the one before. The backend outlives it.
  // Null, unless overridden: the provider has nothing of the kind.
  virtual std::unique_ptr<Exchange> StartErrand(Errand errand, const std::string& model) const;
};

}  // namespace millrace::backend
