// The provider's own ledger (tests/bench/openai_server.cc), read while it grows: what was really received and answered,
// whatever the server under test believes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace millrace {

class ProviderLedger {
 public:
  // One request, by its number less one.
  struct Request {
    std::string digest;     // of its body, 64 hexadecimal digits
    int life = 0;           // of the server under test, from 0: the `life` of the Read that saw it
    bool answered = false;  // its whole answer was written to the socket
    bool over = false;      // it is held no longer
  };

  explicit ProviderLedger(std::filesystem::path path) : path_(std::move(path)) {}
  ~ProviderLedger();
  ProviderLedger(const ProviderLedger&) = delete;

  // Returns when the provider has written since the last return, or `limit` has passed. The first call, for which the
  // file must be there, returns at once.
  void AwaitChange(std::chrono::milliseconds limit);
  // Takes in the lines that are new. Requests among them belong to `life`.
  void Read(int life);

  const std::vector<Request>& requests() const { return requests_; }
  // No request is held.
  bool quiet() const { return held_ == 0; }

 private:
  const std::filesystem::path path_;
  int watch_fd_ = -1;  // inotify's; -1: nobody has waited yet
  int64_t read_bytes_ = 0;
  int64_t held_ = 0;
  std::vector<Request> requests_;
};

}  // namespace millrace
