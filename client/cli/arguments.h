// Parsers of command line arguments. Errors are INVALID_ARGUMENT (INVALID_FIELD) and name the option.
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

// Accepts a whole number from `min` to `max` in plain decimal digits. Stricter than CLI11: 010 could mean eight or ten,
// and a number that overflows must not be cut to fit.
CLI::Validator WholeNumber(uint64_t min, uint64_t max);
// Accepts a decimal fraction such as 0.5, from `min` to `max`.
CLI::Validator DecimalNumber(double min, double max);

// Returns INVALID_FIELD with the position of the first byte that is not UTF-8, because a request can't carry it. `what`
// names the source of the text in the message.
Status CheckUtf8(std::string_view what, std::string_view text);

// Returns true if a PIPELINE argument is a file (it ends in `.yaml` or `.yml`, or contains a slash) and not the name of
// an applied pipeline.
bool IsFile(const std::string& pipeline);

// Parses `NAME=VALUE` entries into a request's parameters; a repeated name is an error.
Status ReadParameters(const std::vector<std::string>& given,
                      google::protobuf::Map<std::string, v1::ParameterValue>& into);

// A fetch and the file to send as its input.
struct InputFile {
  std::string stage;
  std::string file;
};
// Parses `STAGE=FILE` entries; a repeated stage is an error. `-`, allowed once, becomes `/dev/stdin`.
StatusOr<std::vector<InputFile>> ReadInputs(const std::vector<std::string>& given);

// Returns the files that the pipeline's fetches read for a request. Empty if the parameters are invalid.
std::vector<InputFile> FilesOfFetches(const v1::Pipeline& pipeline, const v1::CreateRunRequest& request);

// Returns a line that tells how to send the file of `stage` if the server may not read it. Empty if `stage` is not
// among `files`.
std::string InputAdvice(const std::vector<InputFile>& files, const std::string& stage);

// Parses a state such as `running`, in any case.
StatusOr<v1::RunState> ReadRunState(const std::string& name);
StatusOr<v1::ItemState> ReadItemState(const std::string& name);
// Parses a reason such as `SCHEMA`, in any case.
StatusOr<v1::ErrorReason> ReadReason(const std::string& name);

}  // namespace millrace::cli
