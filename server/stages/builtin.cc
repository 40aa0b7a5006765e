#include "server/stages/cluster/cluster.h"
#include "server/stages/fetch/fetch.h"
#include "server/stages/merge/merge.h"
#include "server/stages/prepare/prepare.h"
#include "server/stages/registry.h"
#include "server/stages/store/store.h"
#include "server/stages/synthesize/synthesize.h"

namespace millrace {

StageRegistry BuiltinStages() {
  StageRegistry stages;
  stages.Add(FetchKind());
  stages.Add(PrepareKind());
  stages.Add(SynthesizeKind());
  stages.Add(ClusterKind());
  stages.Add(MergeKind());
  stages.Add(StoreKind());
  return stages;
}

}  // namespace millrace
