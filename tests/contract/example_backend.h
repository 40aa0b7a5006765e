// The backend that docs/backends.md shows.
#pragma once

#include <memory>
#include <string>

#include "backends/sdk/backend.h"
#include "tests/contract/dialect.h"

namespace millrace::backend {

std::unique_ptr<Backend> MakeExampleBackend(std::string base_url);

std::unique_ptr<Dialect> ExampleDialect();

}  // namespace millrace::backend
