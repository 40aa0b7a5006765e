#include "backends/builtin.h"

#include "backends/bedrock/bedrock.h"
#include "backends/local/local.h"
#include "backends/ollama/ollama.h"
#include "backends/openai/openai.h"
#include "backends/remote/remote.h"
#include "backends/simulated/simulated.h"
#include "server/aws/system.h"

namespace millrace::backend {

BackendKinds BuiltinBackends() {
  BackendKinds kinds;
  kinds.Add(LocalKind());
  kinds.Add(SimulatedKind());
  kinds.Add(OpenaiKind());
  kinds.Add(OllamaKind());
  kinds.Add(RemoteKind());
  kinds.Add(BedrockKind(MachineAwsSystem().variable));
  return kinds;
}

}  // namespace millrace::backend
