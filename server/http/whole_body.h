// Sink that collects a whole answer, for callers that need all of it before they can begin.
#pragma once

#include <string>
#include <utility>

#include "server/http/client.h"

namespace millrace {

class WholeBody final : public HttpSink {
 public:
  Task<bool> Head(int, HttpHeaders its_headers) override {
    headers = std::move(its_headers);
    co_return true;
  }
  Task<bool> Body(std::string bytes) override {
    body += bytes;
    co_return true;
  }

  HttpHeaders headers;
  std::string body;  // the part that was received
};

}  // namespace millrace
