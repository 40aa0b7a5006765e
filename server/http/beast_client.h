// HttpClient over Boost.Beast and OpenSSL on the loop's own io_context.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/http/client.h"

namespace millrace {

struct BeastClientOptions {
  // A connection that has not been used for so long is closed.
  Duration idle_max = std::chrono::seconds(30);
  // File of certificates to trust beside the system's; empty: none.
  std::string ca_file;
};

// Must be destroyed before the loop, and before Loop::Abandon: what is suspended in Send does not use it again. TLS
// is 1.2 or newer, and certificates and names are always checked; the certificates to trust are read on `pool` as the
// first https URL asks for them, and once.
std::unique_ptr<HttpClient> MakeBeastClient(Loop& loop, Pool& pool, const BeastClientOptions& options = {});

}  // namespace millrace
