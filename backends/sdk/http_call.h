// Parts that exchanges over HTTP share.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"

namespace millrace::backend {

// A complete response.
struct Response {
  int status = 0;
  Headers headers;
  std::string body;
};

// Returns the value of the first header of this name, in any case; empty if there is none.
std::string_view HeaderOf(const Headers& headers, std::string_view name);

// Exchange of one request whose response is read as a whole.
class WholeBodyExchange : public Exchange {
 public:
  explicit WholeBodyExchange(SendHttp request) : request_(std::move(request)) {}

  Action Next(Input input) final;

 private:
  // Returns what the response means: Done or Fail.
  virtual Action Read(Response response) const = 0;

  SendHttp request_;
  Response response_;
};

// Returns an exchange that fails with `failure`, for questions that are refused before they are sent.
std::unique_ptr<Exchange> FailedExchange(Failure failure);

// Returns the failure of a backend that answers no EmbedRequest.
Failure EmbedsNothing(std::string_view kind);

// Gives a stored response to a new exchange: Head, the body, End. Returns the action that ends the attempt; Fail
// (BAD_RESPONSE) if the exchange asks for something else.
Action ReadStored(Exchange& exchange, Response response);

}  // namespace millrace::backend
