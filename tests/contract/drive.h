// Drives an exchange by hand: gives it a response in pieces, checks what every exchange must obey, and shows the result
// as one line of text, so that results can be compared.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"

namespace millrace::backend {

using MakeExchange = std::function<std::unique_ptr<Exchange>()>;

// Returns the request with which an exchange begins; a test failure if it begins with something else.
SendHttp RequestOf(Exchange& exchange);

// Result of an exchange.
struct Ended {
  Action action;       // Done or Fail
  std::string deltas;  // all deltas, joined
};

// Gives a response in pieces of `piece` bytes. Stops when the exchange ends the attempt.
Ended Drive(Exchange& exchange, const Response& response, size_t piece);

// Gives a response whole, byte by byte, in two pieces split at every byte (if it is large: in small pieces, and split
// at a sample of its bytes), and as a stored response with the headers that the backend keeps. Checks that the results
// are equal, and returns the first.
Ended DriveAll(const MakeExchange& make, const Manifest& manifest, const Response& response);

// Show a result: `answered stop "text" in=19 out=10 model=m`, `failed RATE_LIMITED TARGET_FAILED …`.
std::string Shown(const Action& action);
std::string_view OutcomeName(Outcome outcome);

}  // namespace millrace::backend
