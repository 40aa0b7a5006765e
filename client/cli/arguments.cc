#include "client/cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "client/cli/output.h"
#include "server/base/utf8.h"
#include "server/config/binding.h"
#include "server/config/scalar.h"
#include "server/stages/registry.h"

namespace millrace::cli {
namespace {

constexpr char kStandardInput[] = "/dev/stdin";

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

Status WrongArgument(std::string_view what) { return MakeError(Reason::kInvalidField, what); }

// `parse` gets only text that consists of characters in `plain`. The help shows the range only if asked to.
template <typename Number, typename Parse>
CLI::Validator NumberWithin(std::string_view kind, const char* plain, Number min, Number max, bool told, Parse parse) {
  const std::string range = fmt::format("{} to {}", min, max);
  const auto check = [=, kind = std::string(kind)](const std::string& text) -> std::string {
    const std::optional<Number> number =
        text.find_first_not_of(plain) == std::string::npos ? parse(text) : std::nullopt;
    if (number && *number >= min && *number <= max) return "";
    return fmt::format("expected {} in plain decimal digits, {}; got \"{}\"", kind, range, Excerpt(text));
  };
  return CLI::Validator(check, told ? range : "");
}

}  // namespace

CLI::Validator WholeNumber(uint64_t min, uint64_t max) {
  return NumberWithin("a whole number", "0123456789", min, max, max < kInt64Max, ParseUnsigned);
}

CLI::Validator DecimalNumber(double min, double max) {
  return NumberWithin("a number", "0123456789.", min, max, true, ParseNumber);
}

Status CheckUtf8(std::string_view what, std::string_view text) {
  const size_t end = Utf8End(text);
  if (end == text.size()) return absl::OkStatus();
  return WrongArgument(fmt::format("{}: expected UTF-8, got an invalid byte at offset {}", what, end));
}

bool IsFile(const std::string& pipeline) {
  return pipeline.find('/') != std::string::npos || pipeline.ends_with(".yaml") || pipeline.ends_with(".yml");
}

Status ReadParameters(const std::vector<std::string>& given,
                      google::protobuf::Map<std::string, v1::ParameterValue>& into) {
  for (const std::string& entry : given) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return WrongArgument(fmt::format("-p {}: expected NAME=VALUE", Excerpt(entry)));
    }
    const std::string name = entry.substr(0, equals);
    if (into.contains(name)) return WrongArgument(fmt::format("-p {}: given more than once", Excerpt(name)));
    into[name].set_string(entry.substr(equals + 1));
  }
  return absl::OkStatus();
}

StatusOr<std::vector<InputFile>> ReadInputs(const std::vector<std::string>& given) {
  std::vector<InputFile> inputs;
  for (const std::string& entry : given) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      return WrongArgument(fmt::format("--input {}: expected STAGE=FILE", Excerpt(entry)));
    }
    InputFile input{entry.substr(0, equals), entry.substr(equals + 1)};
    if (input.file == "-") input.file = kStandardInput;
    for (const InputFile& other : inputs) {
      if (other.stage == input.stage) {
        return WrongArgument(fmt::format("--input {}: given more than once", Excerpt(input.stage)));
      }
      if (input.file == kStandardInput && other.file == kStandardInput) {
        return WrongArgument(fmt::format("--input {}: standard input is already used for {}", Excerpt(input.stage),
                                         Excerpt(other.stage)));
      }
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

std::vector<InputFile> FilesOfFetches(const v1::Pipeline& pipeline, const v1::CreateRunRequest& request) {
  std::vector<InputFile> files;
  const std::set<std::string> sent(request.client_inputs().begin(), request.client_inputs().end());
  const StageRegistry kinds = BuiltinStages();
  const StatusOr<BoundPipeline> bound = BindParameters(pipeline, kinds, request.parameters(), sent);
  if (!bound.ok()) return files;
  for (const v1::Stage& stage : bound->pipeline.stages()) {
    if (sent.contains(stage.name())) continue;
    for (const StageFile& file : kinds.FilesReadBy(stage)) files.push_back({stage.name(), file.path});
  }
  return files;
}

std::string InputAdvice(const std::vector<InputFile>& files, const std::string& stage) {
  for (const InputFile& input : files) {
    if (input.stage != stage) continue;
    return fmt::format("the server reads only files that its configuration allows; send yours with `--input {}={}`\n",
                       Safe(input.stage), Safe(input.file, 1024));
  }
  return "";
}

StatusOr<v1::RunState> ReadRunState(const std::string& name) {
  v1::RunState state = v1::RUN_STATE_UNSPECIFIED;
  if (v1::RunState_Parse("RUN_STATE_" + Upper(name), &state) && state != v1::RUN_STATE_UNSPECIFIED) return state;
  return WrongArgument(
      fmt::format("--state {}: expected queued, running, paused, succeeded, failed or cancelled", Excerpt(name)));
}

StatusOr<v1::ItemState> ReadItemState(const std::string& name) {
  v1::ItemState state = v1::ITEM_STATE_UNSPECIFIED;
  if (v1::ItemState_Parse("ITEM_STATE_" + Upper(name), &state) && state != v1::ITEM_STATE_UNSPECIFIED) return state;
  return WrongArgument(fmt::format("--state {}: expected ok, degraded, failed, skipped or parked", Excerpt(name)));
}

StatusOr<v1::ErrorReason> ReadReason(const std::string& name) {
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  if (v1::ErrorReason_Parse("ERROR_REASON_" + Upper(name), &reason) && reason != v1::ERROR_REASON_UNSPECIFIED) {
    return reason;
  }
  return WrongArgument(fmt::format("--reason {}: unknown reason", Excerpt(name)));
}

}  // namespace millrace::cli
