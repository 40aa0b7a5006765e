// The coordinator: the one place that knows all parts of the server. It builds them in order, connects them, runs the
// engine thread, and destroys them in reverse.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backends/builtin.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/process/secrets.h"

namespace millrace {

inline constexpr char kVersion[] = "0.1.0";

// Reads and checks a configuration file whose backends are of the kinds that the server ships with, and fills in
// defaults. INVALID_ARGUMENT with every wrong place; FAILED_PRECONDITION (FILE_ERROR) if the file can't be read.
StatusOr<v1::ServerConfig> LoadServerConfig(const std::string& path);

// Checks that the backends of a configuration can be made: their kinds are known, their secrets and certificates exist.
Status CheckBackends(const v1::ServerConfig& config, const std::string& config_dir,
                     const backend::BackendKinds& kinds = backend::BuiltinBackends());

// Checks that traces can be sent as the configuration and the environment say.
Status CheckTracing(const v1::ServerConfig& config);

struct CoordinatorOptions {
  v1::ServerConfig config;             // with its defaults filled in
  std::string config_dir = ".";        // folder that the paths of its secrets are relative to
  std::string config_path = {};        // file that it was read from; empty: none
  bool listen_tcp = true;              // false: listen on the data directory's socket only
  bool starts_runs = true;             // see EngineOptions
  bool parameters_name_files = false;  // see EngineOptions
  Secrets secrets = Secrets::kRequired;
  backend::BackendKinds kinds = backend::BuiltinBackends();
};

// Its methods may be called on any thread except the engine's.
class Coordinator {
 public:
  // Opens the store, continues the runs that have not ended, and serves. Blocks until it serves. FAILED_PRECONDITION:
  // STORE_HELD (another process holds the data directory; the message names it), FILE_ERROR (the address is taken); and
  // the errors of the parts.
  static StatusOr<std::unique_ptr<Coordinator>> Start(CoordinatorOptions options);
  // Ends at once, as a kill would, except that the store is closed cleanly. Drain first to end gracefully.
  virtual ~Coordinator() = default;

  // Returns true if a backend's secret is missing (Secrets::kOptional), so that its calls can't be made.
  virtual bool lacks_secrets() const = 0;
  // Open connections of clients.
  virtual int64_t connections() const = 0;
  // Accepts no new connection; open ones stay.
  virtual void StopListening() = 0;

  // Takes no new work, waits until the calls in flight are stored or `patience` is over, and stops serving. If answers
  // are received by then that could not be stored, because the store is down or its disk is full, it waits for
  // kStorePatience more. Returns the number of such answers that are lost: they must be paid again.
  virtual int64_t Drain(Duration patience) = 0;

  virtual std::string socket_path() const = 0;
  // Port of the TCP listener; 0 without one.
  virtual int port() const = 0;
};

}  // namespace millrace
