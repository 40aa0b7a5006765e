// Look-ups of host names by the system's resolver, which blocks and can't be interrupted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/base/loop.h"
#include "server/http/connection.h"

namespace millrace {

// Result of a look-up.
struct FoundAddresses {
  error_code error;  // host_not_found: the name does not exist; others may pass
  std::vector<asio::ip::tcp::endpoint> addresses;
};

// Starts look-ups. Loop's thread only.
class NameService {
 public:
  virtual ~NameService() = default;
  // Looks `host` up, with the number of a port, and calls `done` on the loop's thread; never, if the service is
  // destroyed first.
  virtual void LookUp(std::string host, std::string port, absl::AnyInvocable<void(FoundAddresses)> done) = 0;
};

// Returns the addresses of a host. May block for as long as it wants. Any thread.
using BlockingLookUp = std::function<FoundAddresses(const std::string& host, const std::string& port)>;

// Asks the system (getaddrinfo).
FoundAddresses LookUpBySystem(const std::string& host, const std::string& port);

// Returns a service that runs each look-up on a thread of its own, at most 64 at once: a host whose name server does
// not answer must not keep the other hosts waiting. The threads are left alone when the service is destroyed, because
// getaddrinfo can take half a minute; they touch nothing of the process but their own state then.
std::unique_ptr<NameService> MakeThreadedNames(Loop& loop, BlockingLookUp look_up);

}  // namespace millrace
