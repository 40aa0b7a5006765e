// How traces are exported: the configuration's `tracing`, and the environment variables of OpenTelemetry, which win
// over it, because a configuration file may serve many processes and the environment belongs to one. docs/traces.md has
// the table of variables.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/v1/server_config.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/trace/recorder.h"

namespace millrace::otlp {

using Environment = std::function<std::optional<std::string>(const std::string& name)>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

// The receiver, and how a request reaches it.
struct Endpoint {
  std::string target;  // host:port
  bool tls = false;
  std::string roots_file;  // PEM files; empty: the system's roots, no client certificate
  std::string key_file;
  std::string certificate_file;
  Pairs headers;  // gRPC metadata; may have secrets: never printed
  bool gzip = false;
};

// How spans are gathered and sent.
struct BatchOptions {
  size_t queue_spans_max = 16'384;                   // spans that wait; more are dropped
  size_t queue_bytes_max = 64u << 20;                // bytes of memory of the spans that wait; more are dropped
  size_t batch_spans_max = 512;                      // spans of one request
  size_t request_bytes_max = 3'500'000;              // receivers commonly take 4 MiB
  Duration delay = std::chrono::seconds(5);          // longest wait of a span for others
  Duration timeout = std::chrono::seconds(10);       // of one export, retries included
  Duration backoff = std::chrono::seconds(1);        // first wait between two tries; doubles
  Duration log_interval = std::chrono::seconds(30);  // between two reports of dropped spans
};

struct Settings {
  bool is_on = false;
  Endpoint endpoint;
  BatchOptions batch;
  trace::RecorderOptions recorder;
  Pairs resource;                     // attributes of this process, `service.name` among them
  std::vector<std::string> warnings;  // for the log: variables with values that mean nothing
};

// Returns the settings. INVALID_ARGUMENT (INVALID_DEFINITION) if traces can't be sent as they say: a wrong endpoint,
// plain http to another machine, a protocol that is not gRPC, headers that can't be read.
// `origin`: attributes of this process that the environment may replace.
StatusOr<Settings> MakeSettings(const v1::Tracing& config, const Environment& environment, Pairs origin = {});

// Returns the variables of this process.
std::optional<std::string> ProcessEnvironment(const std::string& name);

}  // namespace millrace::otlp
