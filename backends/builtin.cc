#include "backends/builtin.h"

#include "backends/local/local.h"
#include "backends/ollama/ollama.h"
#include "backends/openai/openai.h"
#include "backends/simulated/simulated.h"

namespace millrace::backend {

BackendKinds BuiltinBackends() {
  BackendKinds kinds;
  kinds.Add(LocalKind());
  kinds.Add(SimulatedKind());
  kinds.Add(OpenaiKind());
  kinds.Add(OllamaKind());
  return kinds;
}

}  // namespace millrace::backend
