// The dialects of backends/bedrock.
#pragma once

#include <memory>

#include "tests/contract/dialect.h"

namespace millrace::backend {

std::unique_ptr<Dialect> WholeBedrockDialect();
std::unique_ptr<Dialect> StreamedBedrockDialect();

}  // namespace millrace::backend
