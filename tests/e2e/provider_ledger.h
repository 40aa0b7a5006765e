// The provider's own ledger (tests/bench/openai_server.cc), read while it grows: requests that were really received and
// answered, independent of the server under test.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace millrace {

class ProviderLedger {
 public:
  // One request, at the index of its number minus one.
  struct Request {
    std::string digest;     // digest of the body, 64 hexadecimal digits
    int life = 0;           // life of the server under test, from 0: the `life` of the Read that saw the request
    bool answered = false;  // the complete answer was written to the socket
    bool over = false;      // the provider holds it no longer
  };

  explicit ProviderLedger(std::filesystem::path path) : path_(std::move(path)) {}
  ~ProviderLedger();
  ProviderLedger(const ProviderLedger&) = delete;

  // Waits until the provider has written since the last return, or `limit` has passed. The first call returns at once;
  // the file must exist by then.
  void AwaitChange(std::chrono::milliseconds limit);
  // Reads new lines. Their requests belong to `life`.
  void Read(int life);

  const std::vector<Request>& requests() const { return requests_; }
  // Returns true if the provider holds no request.
  bool quiet() const { return held_ == 0; }

 private:
  const std::filesystem::path path_;
  int watch_fd_ = -1;  // inotify descriptor; -1: nothing has waited yet
  int64_t read_bytes_ = 0;
  int64_t held_ = 0;
  std::vector<Request> requests_;
};

}  // namespace millrace
