// The time for which Ollama keeps a model loaded.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace::backend::ollama {

// Returns the time that a `keep_alive` means: seconds, or a duration of Go (`1h30m`). Empty: the server's default, 5
// minutes. nullopt: for ever. REQUIRES: it has the form that the configuration demands.
std::optional<Duration> KeepAlive(std::string_view text);

// Returns the time without a request after which a model must be warmed up again; 0 if it stays loaded for ever.
Duration KeepWarmEvery(std::string_view keep_alive);

// Adds a violation if `keep_warm` can't work with `keep_alive`.
void CheckUpkeep(const v1::OllamaBackend& config, std::vector<FieldViolation>& violations);

}  // namespace millrace::backend::ollama
