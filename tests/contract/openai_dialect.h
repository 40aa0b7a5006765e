// The dialects of backends/openai.
#pragma once

#include <memory>

#include "tests/contract/dialect.h"

namespace millrace::backend {

std::unique_ptr<Dialect> WholeOpenaiDialect();
std::unique_ptr<Dialect> StreamedOpenaiDialect();

}  // namespace millrace::backend
