// Items as a file with one JSON object a line, by ordinal.
#pragma once

#include <memory>
#include <string>

#include "millrace/v1/stages.pb.h"
#include "server/stages/stage.h"

namespace millrace::store {

// `path` is the file to write, checked; errors name it as the definition does.
std::unique_ptr<SinkStage> MakeJsonlSink(const v1::JsonlSink& sink, std::string path);

}  // namespace millrace::store
