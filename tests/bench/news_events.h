// The news-events pipeline for tests and benchmarks, read from its files and with its parameters bound.
#pragma once

#include <string>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

// Returns the content of a file; NOT_FOUND if it can't be read.
StatusOr<std::string> ReadWholeFile(const std::string& path);

inline constexpr char kNewsEventsFile[] = "configs/pipelines/news-events.yaml";  // below the working directory

// Returns the pipeline of a file with its definition files. The file is news-events or has its parameters; `input` is
// bound to `titles.csv`.
StatusOr<v1::Pipeline> LoadNewsEvents(const std::string& path = kNewsEventsFile);

// Returns the stage of this name. REQUIRES: the pipeline has it.
const v1::Stage& StageNamed(const v1::Pipeline& pipeline, const std::string& name);

// Returns the directory of the labelled sets: MILLRACE_DATA, or ../shared/data.
std::string DataDirectory();

}  // namespace millrace
