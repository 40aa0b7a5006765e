// Sink that writes items to a file with one JSON object in each line, in the order of their ordinals.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/stages.pb.h"
#include "server/files/file_access.h"
#include "server/stages/sink_stage.h"

namespace millrace::store {

// Returns the sink. `open` opens the place of the file; errors name the file as the definition does.
std::unique_ptr<SinkStage> MakeJsonlSink(const v1::JsonlSink& sink, OutputOpener open);

}  // namespace millrace::store
