// HttpClient over Boost.Beast and OpenSSL, on the loop's io_context.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/http/client.h"

namespace millrace {

class NameService;

struct BeastClientOptions {
  // Time after which an unused connection is closed.
  Duration idle_max = std::chrono::seconds(30);
  // Path of a file of certificates to trust besides the system's; empty: none.
  std::string ca_file;
  // Largest number of open connections, idle ones included. A request waits if all are in use, or if three quarters of
  // them are to its own origin; only its deadline limits that wait.
  int connections_max = 10'000;
};

// Returns a client. Destroy it before the loop is abandoned and destroyed; coroutines that are suspended in Send do not
// use it again. TLS is 1.2 or newer, and certificates and host names are always checked. Reads the trusted certificates
// on `pool` once, for the first https URL.
std::unique_ptr<HttpClient> MakeBeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options = {});
// Returns a client that looks host names up by `names`.
std::unique_ptr<HttpClient> MakeBeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options,
                                            std::unique_ptr<NameService> names);

}  // namespace millrace
