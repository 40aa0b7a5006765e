// HTTP as the server uses it for backends: one attempt of one request, with every byte accounted for. The Beast
// implementation is beast_client.h; tests and the simulator bring their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/base/task.h"

namespace millrace {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A request to an absolute http or https URL. No redirect is followed, no proxy is asked.
struct HttpRequest {
  std::string method = "POST";
  std::string url;
  HttpHeaders headers;  // without Host and Content-Length
  std::string body;
};

// How long each part may take, and how much may come.
struct HttpLimits {
  Duration connect = std::chrono::seconds(5);       // DNS, TCP and TLS
  Duration first_byte = std::chrono::seconds(120);  // from the request's last byte to the answer's first
  Duration idle = std::chrono::seconds(30);         // between two bytes of the answer
  TimePoint deadline = kNever;                      // of all
  size_t body_bytes_max = 8u << 20;                 // decoded
  size_t header_bytes_max = 64u << 10;
};

// What became of a request, by the bytes on the wire (RELIABILITY.md's classes).
enum class HttpOutcome {
  kAnswered,   // a whole answer: status line, headers, body to its end
  kNotSent,    // no byte of the request was handed to the socket: refused, DNS, TLS
  kUnknown,    // bytes were sent, and no whole status line came back
  kPartial,    // the answer broke off after its head
  kTooLarge,   // the answer passed a limit and was cut
  kCancelled,  // ended by us
};

struct HttpResult {
  HttpOutcome outcome = HttpOutcome::kNotSent;
  int status = 0;  // 0 where none came
  HttpHeaders headers;
  std::string body;           // what came of it
  std::string error;          // for people: what went wrong, without secrets
  size_t bytes_sent = 0;      // of the request, handed to the socket
  size_t bytes_received = 0;  // of the answer
  bool reused_connection = false;
};

// The value of a header, by name without regard to case; empty where there is none.
std::string_view FindHeader(const HttpHeaders& headers, std::string_view name);

// Ends a request from outside: the result is then kCancelled. One thread.
class HttpCancel {
 public:
  void Cancel() {
    cancelled_ = true;
    if (on_cancel_) on_cancel_();
  }
  bool cancelled() const { return cancelled_; }
  // The client says what ends the request; null when it is over.
  void OnCancel(absl::AnyInvocable<void()> function) { on_cancel_ = std::move(function); }

 private:
  bool cancelled_ = false;
  absl::AnyInvocable<void()> on_cancel_;
};

// Called on the loop's thread, and resumes there. Connections are kept per scheme, host and port, and checked for a
// pending close before they are used again. Never sends a request twice.
class HttpClient {
 public:
  virtual ~HttpClient() = default;

  // `cancel` (may be null) must live until it resumes.
  virtual Task<HttpResult> Send(HttpRequest request, HttpLimits limits, HttpCancel* cancel) = 0;
};

}  // namespace millrace
