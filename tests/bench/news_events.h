// The product's news-events pipeline as tests and benchmarks use it: read from its files, its parameters bound.
#pragma once

#include <string>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"

namespace millrace {

// The whole content of a file; NOT_FOUND.
StatusOr<std::string> ReadWholeFile(const std::string& path);

inline constexpr char kNewsEventsFile[] = "configs/pipelines/news-events.yaml";  // below the working directory

// The pipeline of a file, news-events or one with its parameters, with its definition files; `input` stands for itself.
StatusOr<v1::Pipeline> LoadNewsEvents(const std::string& path = kNewsEventsFile);

// The stage of this name; the pipeline must have it.
const v1::Stage& StageNamed(const v1::Pipeline& pipeline, const std::string& name);

// Where the labelled sets are: MILLRACE_DATA, or ../shared/data.
std::string DataDirectory();

}  // namespace millrace
