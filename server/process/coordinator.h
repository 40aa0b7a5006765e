// The coordinator: the one place that knows all parts. It builds them in order, joins them, runs the engine's thread,
// and takes them apart again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "millrace/v1/server_config.pb.h"
#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace {

inline constexpr char kVersion[] = "0.1.0";

// The configuration in a file, checked, with its defaults filled in. INVALID_ARGUMENT with every wrong place.
StatusOr<v1::ServerConfig> LoadServerConfig(const std::string& path);

// Its backends can be made: their secrets are there.
Status CheckBackends(const v1::ServerConfig& config, const std::string& config_dir);

struct CoordinatorOptions {
  v1::ServerConfig config;       // with its defaults filled in
  std::string config_dir = ".";  // what files that it names are relative to
  bool listen_tcp = true;        // else only on the data directory's socket
  bool starts_runs = true;       // see EngineOptions
};

// Its members may be called on any thread but the engine's.
class Coordinator {
 public:
  // Opens the store, goes on with the runs that were left, and serves. Blocks until it serves.
  // FAILED_PRECONDITION: STORE_HELD (another process holds the data directory; says which), FILE_ERROR (the address is
  // taken); others as the parts have them.
  static StatusOr<std::unique_ptr<Coordinator>> Start(CoordinatorOptions options);
  // Ends at once, as a kill would, but for the store, which is closed cleanly. Drain first to end gracefully.
  virtual ~Coordinator() = default;

  // Connections of clients that are open.
  virtual int64_t connections() const = 0;
  // Takes no new connection; those that are open live on.
  virtual void StopListening() = 0;

  // Takes no new work, waits for calls in flight until they are stored or `patience` is over, and stops serving.
  virtual void Drain(Duration patience) = 0;

  virtual std::string socket_path() const = 0;
  // Port of the TCP listener; 0 without one.
  virtual int port() const = 0;
};

}  // namespace millrace
