// The dialect of backends/ollama.
#pragma once

#include <memory>

#include "tests/contract/dialect.h"

namespace millrace::backend {

std::unique_ptr<Dialect> StreamedOllamaDialect();

}  // namespace millrace::backend
