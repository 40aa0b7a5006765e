#include "tests/e2e/provider_ledger.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace millrace {

ProviderLedger::~ProviderLedger() {
  if (watch_fd_ >= 0) ::close(watch_fd_);
}

void ProviderLedger::AwaitChange(std::chrono::milliseconds limit) {
  if (watch_fd_ < 0) {
    watch_fd_ = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (::inotify_add_watch(watch_fd_, path_.c_str(), IN_MODIFY) < 0) {
      throw std::runtime_error(path_.string() + " can't be watched");
    }
    return;
  }
  pollfd change{.fd = watch_fd_, .events = POLLIN, .revents = 0};
  if (::poll(&change, 1, static_cast<int>(limit.count())) <= 0) return;
  alignas(inotify_event) char events[4096];
  while (::read(watch_fd_, events, sizeof events) > 0) {
  }
}

void ProviderLedger::Read(int life) {
  std::ifstream file(path_, std::ios::binary);
  file.seekg(read_bytes_);
  std::ostringstream content;
  content << file.rdbuf();
  const std::string text = content.str();
  const size_t end = text.rfind('\n');
  if (end == std::string::npos) return;  // no complete line
  read_bytes_ += static_cast<int64_t>(end) + 1;

  std::istringstream lines(text.substr(0, end + 1));
  std::string kind;
  size_t number = 0;
  int64_t time = 0;
  std::string rest;
  while (lines >> kind >> number >> time) {
    std::getline(lines, rest);
    if (kind == "request") {
      requests_.push_back({.digest = rest.substr(1), .life = life});
      ++held_;
      continue;
    }
    Request& request = requests_.at(number - 1);
    request.answered = kind == "answer";
    request.over = true;
    --held_;
  }
}

}  // namespace millrace
