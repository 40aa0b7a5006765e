// Options of a model: the table of those that the server knows, checks, and warnings. The server itself ignores unknown
// names, answers 500 to wrong types, and loads a model again for some values.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"

namespace millrace::backend::ollama {

// The options of a configuration, ready to be sent.
struct Options {
  boost::json::object sent;            // without num_ctx, num_predict and removed options
  std::optional<int64_t> num_ctx;      // absent: sized by the prompt
  std::optional<int64_t> num_predict;  // absent: only the question limits the answer
  std::string for_key;                 // canonical JSON of those that change answers, and `think`; empty: none
  std::vector<std::string> warnings;   // one for each thing that a person should know
};

// Adds a violation for each option with an unknown name, a wrong type, or in the wrong place.
void CheckOptions(const v1::OllamaBackend& config, std::vector<FieldViolation>& violations);

// Returns the options. REQUIRES: CheckOptions found nothing.
Options ReadOptions(const v1::OllamaBackend& config);

}  // namespace millrace::backend::ollama
