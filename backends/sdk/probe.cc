#include "backends/sdk/probe.h"

namespace millrace::backend {

std::unique_ptr<Probe> Backend::StartProbe() const { return nullptr; }

}  // namespace millrace::backend
