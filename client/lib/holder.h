// Access to a data directory for a command without a server: through the socket of the process that holds it, or by
// holding it for the duration of the command.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/process/secrets.h"

namespace millrace {
class Coordinator;
}

namespace millrace::client {

// Returns the configuration file of a command without a server: `given`, else `millrace.yaml` in the working directory,
// else empty.
std::string ConfigPath(const std::string& given);

// Returns the data directory of a command without a server: `given`, else the `data_dir` of the configuration of
// ConfigPath(config_path), else `.millrace`. A server with this configuration uses the same. The errors of reading it.
StatusOr<std::string> DataDirOf(const std::string& given, const std::string& config_path);

// Connection to a data directory, or the coordinator that serves it in this process.
class Holder {
 public:
  // Connects to the socket in `data_dir` (empty: DataDirOf) if a process listens there; otherwise opens the store with
  // the configuration of `config_path` (empty: `millrace.yaml` in the working directory if it exists, else the built-in
  // one: backend `local` as model `local`). Retries both for 3 s, because another process may hold the store without
  // listening yet, or be about to release it. Runs may read and write below the working directory if the configuration
  // names no `files`. `secrets` says whether the command may call backends. Errors: DATA_DIR_UNUSABLE with the
  // directory's path.
  static StatusOr<std::unique_ptr<Holder>> Open(const std::string& data_dir, const std::string& config_path,
                                                Secrets secrets = Secrets::kRequired);
  // Connects to the process that listens in `data_dir`; returns null if there is none.
  static std::unique_ptr<Holder> Attach(const std::string& data_dir);
  ~Holder();

  // Returns true if this process holds the store.
  bool own() const { return coordinator_ != nullptr; }
  // Address for Client::Dial.
  const std::string& target() const { return target_; }
  // One line for people about the process that holds the store.
  const std::string& description() const { return description_; }

  // If this process holds the store and can't make all calls, because a secret is missing: serves nobody who connects
  // from now on. Their runs would be paused for a secret that they have. They try again for 3 s, as Open says, and then
  // fail with STORE_HELD.
  void KeepToItself();

  // If this process holds the store: waits until no other client is connected or `leave` returns true. Clients that
  // connect in the meantime are served; later ones find the store free. Calls `waiting` once if that takes longer than
  // 1 s.
  void StayForOthers(const std::function<bool()>& leave, const std::function<void()>& waiting);

  // If this process holds the store: accepts no new work and waits up to `patience` for calls in flight. Returns the
  // number of received answers that could not be stored (Coordinator::Drain).
  int64_t Drain(Duration patience);

 private:
  Holder();
  static StatusOr<std::unique_ptr<Holder>> TryOpen(const std::string& data_dir, const std::string& config_path,
                                                   Secrets secrets);

  std::unique_ptr<Coordinator> coordinator_;
  int presence_fd_ = -1;   // connection that keeps the holder from exiting
  int directory_fd_ = -1;  // the data directory; the path of its socket may be too long for a socket address
  std::string target_;
  std::string description_;
};

}  // namespace millrace::client
