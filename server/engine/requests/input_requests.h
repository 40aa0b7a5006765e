// Takes in the items that clients send to the fetches of runs.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/run_service.pb.h"
#include "server/engine/run/runs.h"
#include "server/engine/step/client_input.h"
#include "server/engine/work_gate.h"

namespace millrace {

// Engine thread. All references must outlive it. `patient_store` is where inputs are kept.
class InputRequests {
 public:
  InputRequests(const EngineDeps& deps, Store& patient_store, const WorkGate& gate, Runs& runs)
      : deps_(deps), patient_store_(patient_store), gate_(gate), runs_(runs) {}

  Task<StatusOr<v1::AddItemsResponse>> Add(v1::AddItemsRequest request);
  Task<StatusOr<v1::CloseInputResponse>> Close(v1::CloseInputRequest request);

 private:
  // Returns the input that a run which has ended has kept, to compare with: it is kept until the run is deleted. Null:
  // none was sent.
  Task<StatusOr<std::shared_ptr<ClientInput>>> FindKept(const FoundRun& run, std::string stage);

  const EngineDeps& deps_;
  Store& patient_store_;
  const WorkGate& gate_;
  Runs& runs_;
};

}  // namespace millrace
