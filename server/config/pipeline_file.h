// A pipeline written as YAML.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/config/place.h"

namespace millrace {

class StageRegistry;

// Returns the content of a definition file by the path that a stage names, relative to the pipeline's file.
using FileLoader = std::function<StatusOr<std::string>(std::string_view path)>;

struct PipelineFile {
  v1::Pipeline pipeline;  // with its definition files
  std::string filename;   // as shown in errors
  Places places;
};

// Reads a pipeline, loads its definition files and checks it, in one pass: INVALID_ARGUMENT (INVALID_DEFINITION) with
// every problem and its place. Without `stages`, checks that need the kinds of stages are left out.
StatusOr<PipelineFile> ReadPipeline(std::string_view text, std::string_view filename, const FileLoader& load_file,
                                    const StageRegistry* stages = nullptr);

// Returns an error about fields of the pipeline with their places in the file: for problems that only a server finds.
Status WithPlaces(const Status& status, const PipelineFile& file);

}  // namespace millrace
