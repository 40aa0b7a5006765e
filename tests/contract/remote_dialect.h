// The contract of remote backends, as its messages on the wire of gRPC.
#pragma once

#include <memory>

#include "tests/contract/dialect.h"

namespace millrace::backend {

std::unique_ptr<Dialect> RemoteDialect();

}  // namespace millrace::backend
