// The data directory that a command works on without a server: held by another process, whose socket is used, or by
// this one for as long as the command takes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/base/clock.h"
#include "server/base/status.h"

namespace millrace {
class Coordinator;
}

namespace millrace::client {

// The configuration that a command without a server uses: `given`, else `millrace.yaml` in the working directory; empty
// where there is none.
std::string ConfigPath(const std::string& given);

// Whoever serves a data directory.
class Holder {
 public:
  // Connects to the socket in `data_dir` if somebody listens there; else opens the store (both again for a while where
  // somebody else opened it just before and does not listen yet, or goes just now), with the configuration of
  // `config_path` (empty: `millrace.yaml` in the working directory where there is one, else built in: backend `local`
  // as model `local`). FAILED_PRECONDITION with the directory's path where it can't be used. Runs may read and write
  // below the working directory where the configuration names no `files`.
  static StatusOr<std::unique_ptr<Holder>> Open(const std::string& data_dir, const std::string& config_path);
  // The first half of it: a connection to who listens in `data_dir`; null where nobody does.
  static std::unique_ptr<Holder> Attach(const std::string& data_dir);
  ~Holder();

  // This process holds the store.
  bool own() const { return coordinator_ != nullptr; }
  // What to dial.
  const std::string& target() const { return target_; }
  // One line for people: who holds what.
  const std::string& description() const { return description_; }

  // Where this process holds the store: waits until no other client is connected, or `leave` says so. Whoever comes in
  // the meantime is served, and who comes later finds the store free. `waiting` is told once where that takes long.
  void StayForOthers(const std::function<bool()>& leave, const std::function<void()>& waiting);

  // Where this process holds the store: takes no new work and waits for calls in flight.
  void Drain(Duration patience);

 private:
  Holder();
  static StatusOr<std::unique_ptr<Holder>> TryOpen(const std::string& data_dir, const std::string& config_path);

  std::unique_ptr<Coordinator> coordinator_;
  int presence_fd_ = -1;   // a connection to the holder, which stays as long as it has any
  int directory_fd_ = -1;  // of the data directory: its socket's path may be too long for a socket address
  std::string target_;
  std::string description_;
};

}  // namespace millrace::client
