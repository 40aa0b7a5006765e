// The process that listens on a port of this machine, for messages to people.
#pragma once

#include <string>

#include "server/base/status.h"

namespace millrace {

// Returns `process 4711 (millraced)`; empty if nobody listens there or the system does not show who. Reads /proc; of
// processes of other users only root sees the descriptors.
std::string ListenerOn(int port);

// Returns the error of an address that can't be listened on, with the process that does, if it is known.
Status WithListener(const Status& error, const std::string& address);

}  // namespace millrace
