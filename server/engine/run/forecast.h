// Forecast of a run, for `plan`: the real steps work on the real sources, over a store that keeps
// nothing and with calls that are counted instead of made. So a new kind or shape of stages is known to the forecast
// without another line.
#pragma once

#include "millrace/v1/pipeline_service.pb.h"
#include "server/engine/engine_deps.h"
#include "server/engine/run/run_loader.h"

namespace millrace {

// Returns the figures of each stage. `record` has what the run would be created with (pipeline, limit, as_of). Sources
// are read, memos and answers are looked up and pure stages compute; nothing is stored, sent or written to a sink.
// Takes as much memory as a run at work, whatever the number of items.
//
// An item that needs a call ends there, since its answer is not known. The stages behind a stage with such an item get
// a reason instead of figures. So do the stages behind a barrier whose result is not memoized, and behind a fetch whose
// items come from a client. A barrier's result is only looked up if its items come in order through one chain of
// stages, and none passes it by (`when`).
//
// Errors: those of a run as a whole (an unreadable source, a store that is down). What a run checks (`expect`,
// `max_failures`, ids) is not checked.
Task<StatusOr<v1::PlanPipelineResponse>> MakeForecast(const EngineDeps& deps, const EngineOptions& options,
                                                      MadeStages made, storage::v1::RunRecord record);

}  // namespace millrace
