// The process that listens on a port of this machine, for messages to people.
#pragma once

#include <string>

#include "server/base/status.h"

namespace millrace {

// Returns `process 4711 (millraced)` for who listens at the address (`127.0.0.1`, `::1`, `localhost`) and port, or at a
// wildcard; empty if nobody does or the system does not show who. Reads /proc; of processes of other users only root
// sees the descriptors.
std::string ListenerOn(const std::string& host, int port);

// Returns the error of an address that can't be listened on, with the process that does, if it is known.
Status WithListener(const Status& error, const std::string& address);

}  // namespace millrace
