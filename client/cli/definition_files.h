// The definition files of a pipeline (prompts, schemas, gazetteers), which are read here and sent with it.
#pragma once

#include <string>

#include "server/config/pipeline_file.h"

namespace millrace::cli {

// Returns a reader of the files that the pipeline in `pipeline_path` names, relative to its folder. It reads below that
// folder and below the working directory, since what it reads may be sent to a server and to models: not the files of a
// configuration (its secrets, keys and certificates) and not a store. `config` is the configuration of a command
// without a server, as ConfigPath takes it; one that can't be read names no files here and is reported by who needs it.
FileLoader DefinitionLoader(const std::string& pipeline_path, const std::string& config);

}  // namespace millrace::cli
