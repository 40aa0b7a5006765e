// Exchanges of the Ollama backend as functions of bytes.
#pragma once

#include <string>
#include <vector>

#include "backends/ollama/ollama.h"
#include "backends/sdk/http_call.h"

namespace millrace::backend {

inline v1::OllamaBackend OllamaConfig() {
  v1::OllamaBackend config;
  config.set_base_url("http://127.0.0.1:11434/");
  return config;
}

inline Request OllamaRequest(std::string text = "Say \"hi\".") {
  Request request;
  request.model = "tiny";
  request.messages = {{"system", "Be short."}, {"user", std::move(text)}};
  request.max_tokens = 64;
  return request;
}

// Gives a response to a new exchange in pieces of `piece_bytes`; 0: in one. Returns its last action, and the
// concatenation of the deltas.
struct Outcomes {
  Action action;
  std::string deltas;
};

inline Outcomes Tell(const Question& question, int status, std::string_view body, size_t piece_bytes,
                     const v1::OllamaBackend& config = OllamaConfig()) {
  const std::unique_ptr<Backend> backend = MakeOllamaBackend(config);
  const std::unique_ptr<Exchange> exchange = backend->Start(question, 1);
  exchange->Next(Resume());
  Outcomes outcomes{.action = exchange->Next(Head{.status = status, .headers = {}}), .deltas = {}};
  while (std::holds_alternative<More>(outcomes.action) && !body.empty()) {
    const size_t size = piece_bytes == 0 ? body.size() : std::min(piece_bytes, body.size());
    outcomes.action = exchange->Next(Bytes{std::string(body.substr(0, size))});
    if (const auto* more = std::get_if<More>(&outcomes.action)) outcomes.deltas += more->delta;
    body.remove_prefix(size);
  }
  if (std::holds_alternative<More>(outcomes.action)) outcomes.action = exchange->Next(End());
  return outcomes;
}

}  // namespace millrace::backend
