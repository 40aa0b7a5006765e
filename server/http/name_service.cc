#include "server/http/name_service.h"

#include <netdb.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "server/base/thread.h"

namespace millrace {
namespace {

constexpr int kLookUpsAtOnce = 64;

error_code ErrorOf(int result) {
  switch (result) {
    case 0:
      return {};
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      return asio::error::host_not_found;
    case EAI_FAIL:
      return asio::error::no_recovery;
    case EAI_MEMORY:
      return asio::error::no_memory;
    case EAI_SYSTEM:
      return {errno, boost::system::system_category()};
    default:
      return asio::error::host_not_found_try_again;
  }
}

class ThreadedNames final : public NameService {
 public:
  ThreadedNames(Loop& loop, BlockingLookUp look_up) : shared_(std::make_shared<Shared>()) {
    shared_->loop = &loop;
    shared_->look_up = std::move(look_up);
  }
  ~ThreadedNames() override {
    std::deque<Asked> dropped;
    const std::lock_guard lock(shared_->mutex);
    shared_->loop = nullptr;
    dropped.swap(shared_->waiting);
  }

  void LookUp(std::string host, std::string port, absl::AnyInvocable<void(FoundAddresses)> done) override {
    const std::lock_guard lock(shared_->mutex);
    shared_->waiting.push_back({std::move(host), std::move(port), std::move(done)});
    if (shared_->threads >= kLookUpsAtOnce) return;
    ++shared_->threads;
    try {
      std::thread([shared = shared_] { Serve(*shared); }).detach();
    } catch (const std::system_error&) {
      // The system gives no thread now. A thread that works already takes it; else the attempt fails and is made again.
      if (--shared_->threads > 0) return;
      done = std::move(shared_->waiting.back().done);
      shared_->waiting.pop_back();
      shared_->loop->Post([done = std::move(done)]() mutable { done({.error = asio::error::try_again}); });
    }
  }

 private:
  struct Asked {
    std::string host;
    std::string port;
    absl::AnyInvocable<void(FoundAddresses)> done;
  };
  // Shared by the service and its threads, so that a thread may outlive the service.
  struct Shared {
    std::mutex mutex;
    Loop* loop = nullptr;       // guarded by mutex; null: the service is gone
    std::deque<Asked> waiting;  // guarded by mutex
    int threads = 0;            // guarded by mutex
    BlockingLookUp look_up;     // constant
  };

  // Works until nothing waits.
  static void Serve(Shared& shared) {
    NameThread("names");
    while (true) {
      Asked asked;
      {
        const std::lock_guard lock(shared.mutex);
        if (shared.waiting.empty()) {
          --shared.threads;
          return;
        }
        asked = std::move(shared.waiting.front());
        shared.waiting.pop_front();
      }
      FoundAddresses found = shared.look_up(asked.host, asked.port);
      const std::lock_guard lock(shared.mutex);
      if (shared.loop == nullptr) return;
      shared.loop->Post([done = std::move(asked.done), found = std::move(found)]() mutable { done(std::move(found)); });
    }
  }

  const std::shared_ptr<Shared> shared_;
};

}  // namespace

FoundAddresses LookUpBySystem(const std::string& host, const std::string& port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &wanted, &first);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(first, &::freeaddrinfo);
  FoundAddresses found{.error = ErrorOf(error), .addresses = {}};
  for (const addrinfo* entry = first; error == 0 && entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
    asio::ip::tcp::endpoint& endpoint = found.addresses.emplace_back();
    endpoint.resize(entry->ai_addrlen);
    std::memcpy(endpoint.data(), entry->ai_addr, entry->ai_addrlen);
  }
  return found;
}

std::unique_ptr<NameService> MakeThreadedNames(Loop& loop, BlockingLookUp look_up) {
  return std::make_unique<ThreadedNames>(loop, std::move(look_up));
}

}  // namespace millrace
