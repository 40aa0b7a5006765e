// What stands on a command line, read into values. Errors are INVALID_ARGUMENT (INVALID_FIELD) and name the option.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "millrace/v1/run.pb.h"
#include "millrace/v1/run_service.pb.h"
#include "server/base/status.h"

namespace millrace::cli {

inline constexpr uint64_t kInt64Max = std::numeric_limits<int64_t>::max();
inline constexpr uint64_t kSampleMax = 10'000'000;  // of a request's `sample`

// What an option with a number takes: plain decimal digits, since 010 is eight to one reader and ten to another, and
// within a range, since a number that is cut to fit is not what was asked for.
CLI::Validator WholeNumber(uint64_t min, uint64_t max);
// The same with a fraction: 0.5.
CLI::Validator DecimalNumber(double min, double max);

// INVALID_FIELD with the place of the first byte that is no UTF-8: a request can't carry it. `what` says where the text
// is from.
Status CheckUtf8(std::string_view what, std::string_view text);

// A PIPELINE with `.yaml` or a slash is a file, else an applied name.
bool IsFile(const std::string& pipeline);

// `k=v` into a request's parameters, each once.
Status ReadParameters(const std::vector<std::string>& given,
                      google::protobuf::Map<std::string, v1::ParameterValue>& into);

// A stage and the file that is its input.
struct InputFile {
  std::string stage;
  std::string file;
};
// `STAGE=FILE`, each stage once; of `-`, which only one may be, the file is `/dev/stdin`.
StatusOr<std::vector<InputFile>> ReadInputs(const std::vector<std::string>& given);

// The files that the fetches of the pipeline would read for a request; none where its parameters don't fit it.
std::vector<InputFile> FilesOfFetches(const v1::Pipeline& pipeline, const v1::CreateRunRequest& request);

// What to do where the server may not read the file of `stage`, a line; empty where that is no fetch of a file.
std::string InputAdvice(const std::vector<InputFile>& files, const std::string& stage);

// `running`, in letters of any case.
StatusOr<v1::RunState> ReadRunState(const std::string& name);
StatusOr<v1::ItemState> ReadItemState(const std::string& name);
// `SCHEMA`, in letters of any case.
StatusOr<v1::ErrorReason> ReadReason(const std::string& name);

}  // namespace millrace::cli
