// HTTP client for backends: makes one attempt of one request, and reports how much was sent and received, so that the
// caller knows if the provider may have seen it. beast_client.h implements it; tests and the simulator have
// implementations of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/stop_signal.h"
#include "server/base/task.h"

namespace millrace {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// Request to an absolute http or https URL. The client follows no redirects and uses no proxies.
struct HttpRequest {
  std::string method = "POST";
  std::string url;
  HttpHeaders headers;  // without Host, Accept-Encoding and Content-Length
  std::string body;
};

// Limits of one request.
struct HttpLimits {
  Duration connect = std::chrono::seconds(5);       // DNS, TCP and TLS
  Duration first_byte = std::chrono::seconds(120);  // from the last byte of the request to the first of the answer
  Duration idle = std::chrono::seconds(30);         // between two pieces of the request or of the answer
  TimePoint deadline = kNever;                      // end of the whole request
  size_t body_bytes_max = 8u << 20;                 // bytes of the answer's body, decoded
  size_t header_bytes_max = 64u << 10;              // bytes of the answer's status line and headers
  std::shared_ptr<StopSignal> stop;                 // ends the request at once, with kCancelled; may be null
};

// Outcome of a request, by the bytes on the wire. A retry after kNotSent is free; after kUnknown and kPartial the
// provider may have done, and billed, the work.
enum class HttpOutcome {
  kAnswered,   // a complete answer: status line, headers and body
  kNotSent,    // no byte of the request was given to the socket, because DNS, TCP or TLS failed
  kUnknown,    // bytes were sent, and no complete status line was received
  kPartial,    // the answer ended early, or could not be read on, after its status line
  kTooLarge,   // the answer exceeded a limit and was cut
  kCancelled,  // the stop signal ended the request
  kEnded,      // the sink ended it
};

struct HttpResult {
  HttpOutcome outcome = HttpOutcome::kNotSent;
  int status = 0;             // status code of the answer; 0 if none was received
  std::string error;          // the failure in words, without secrets; empty for kAnswered and kEnded
  size_t bytes_sent = 0;      // bytes of the request that were given to the socket
  size_t bytes_received = 0;  // bytes of the answer
  bool reused_connection = false;
  bool no_such_host = false;  // kNotSent: the name service says that the host name does not exist
};

// Receiver of an answer. The client reads on when a call has resumed, so a slow sink slows the provider down; its time
// counts against the deadline only. A call that resumes with false ends the request, and the rest of the answer is not
// read.
class HttpSink {
 public:
  virtual ~HttpSink() = default;

  // Takes status and headers; once, before the body. An answer that is cut in its headers has none.
  virtual Task<bool> Head(int status, HttpHeaders headers) = 0;
  // Takes the next bytes of the body, at least one.
  virtual Task<bool> Body(std::string bytes) = 0;
};

// Sends requests. Loop's thread only. Reuses connections by scheme, host and port, after a check that the other side
// has not closed them. Never sends a request twice, because a provider may bill both.
class HttpClient {
 public:
  virtual ~HttpClient() = default;

  // Sends a request, gives its answer to `sink` as it comes and resumes with the outcome; every failure is an outcome.
  // `sink` must live until Send resumes.
  virtual Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpSink& sink) = 0;
};

// Returns the value of the first header of this name, in any case; empty if there is none.
std::string_view FindHeader(const HttpHeaders& headers, std::string_view name);

}  // namespace millrace
