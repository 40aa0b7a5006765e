#include "client/cli/output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <set>
#include <string>

namespace millrace::cli {
namespace {

// A newer server may send enum values that are unknown here.
std::string NameAfter(std::string_view prefix, const std::string& name) {
  return name.empty() ? "UNKNOWN" : name.substr(prefix.size());
}

// Returns what the caller of a model can do; empty if the error itself says it.
std::string_view RemedyFor(Reason reason) {
  switch (reason) {
    case Reason::kTruncated:
      return "allow a longer answer by --max-tokens";
    case Reason::kPromptTooLong:
      return "shorten the prompt, or use a model with a larger context";
    case Reason::kContentFilter:
    case Reason::kRefusal:
      return "change the prompt, or use another model";
    case Reason::kEmptyAnswer:
    case Reason::kNotJson:
    case Reason::kSchema:
      return "ask for another answer by --sample-number 1, or simplify the prompt and the schema";
    case Reason::kTargetFailed:
    case Reason::kDeadline:
      return "`millrace backends` shows which servers answer; --timeout sets how long a call is tried again";
    default:
      return "";
  }
}

}  // namespace

std::string JsonFault(const google::protobuf::Message& message) {
  // Its own line on standard error names neither the message nor a remedy.
  const google::protobuf::LogSilencer silencer;
  std::string text;
  const auto printed = google::protobuf::util::MessageToJsonString(message, &text);
  return printed.ok() ? std::string() : Safe(printed.ToString(), 500);
}

void PrintJson(const google::protobuf::Message& message, Layout layout) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = layout == Layout::kIndented;
  std::string text;
  const auto printed = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!printed.ok()) {
    std::cerr << fmt::format("millrace: the response can't be printed as JSON: {}\n", Safe(printed.ToString(), 500));
    std::cout.setstate(std::ios::failbit);
    return;
  }
  std::cout << text;
  if (text.empty() || text.back() != '\n') std::cout << '\n';
  std::cout.flush();
}

int PrintError(const Status& status) {
  std::cerr << ErrorText(status);
  return ExitOf(status);
}

int PrintCallError(const Status& status) {
  std::cerr << ErrorText(status);
  if (const std::string_view remedy = RemedyFor(ReasonOf(status)); !remedy.empty()) std::cerr << "  " << remedy << "\n";
  return ExitOf(status);
}

std::string ErrorText(const Status& status) {
  std::string reason = ReasonNameOf(status);
  // An error without a reason shows its code instead.
  if (reason == "INTERNAL" && status.code() != absl::StatusCode::kInternal)
    reason = absl::StatusCodeToString(status.code());
  std::string text = fmt::format("millrace: {} ({})\n", Safe(MessageOf(status), 2048), Safe(reason));
  for (const FieldViolation& violation : ViolationsOf(status)) {
    text += violation.field.empty()
                ? fmt::format("  {}\n", Safe(violation.description, 2048))
                : fmt::format("  {}: {}\n", Safe(violation.field, 1024), Safe(violation.description, 2048));
  }
  if (const std::optional<Duration> delay = RetryDelayOf(status)) {
    text += fmt::format("  try again in {:.1f} s\n", std::chrono::duration<double>(*delay).count());
  }
  return text;
}

int ExitOf(const Status& status) {
  // Reasons of a failed call itself, as opposed to a wrong command or an unreachable server.
  static const std::set<Reason> kOfTheCall = {
      Reason::kTargetFailed,  Reason::kUnknownOutcome,   Reason::kRequestRefused, Reason::kProviderCredentials,
      Reason::kProviderModel, Reason::kProviderHost,     Reason::kPromptTooLong,  Reason::kContentFilter,
      Reason::kRefusal,       Reason::kTruncated,        Reason::kEmptyAnswer,    Reason::kNotJson,
      Reason::kSchema,        Reason::kResponseTooLarge, Reason::kBadResponse};
  if (kOfTheCall.contains(ReasonOf(status))) return kRunFailed;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return kUnreachable;
    case absl::StatusCode::kCancelled:
      return kInterrupted;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return kUsage;
    default:
      return kRunFailed;
  }
}

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells = rows;
  std::vector<size_t> widths;
  for (std::vector<std::string>& row : cells) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = Safe(row[i], SIZE_MAX);
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - DisplayWidth(row[i]) + 2, ' ');
    }
    text.push_back('\n');
  }
  return text;
}

std::string Count(int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string Figure(double value) {
  if (value == std::trunc(value) && std::fabs(value) < 1e15) return Count(static_cast<int64_t>(value));
  return std::fabs(value) < 100 ? fmt::format("{:.3g}", value) : fmt::format("{:.1f}", value);
}

std::string Seconds(const google::protobuf::Duration& duration) {
  const double seconds = static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
  return seconds < 0.1 ? fmt::format("{:.2f}", seconds) : fmt::format("{:.1f}", seconds);
}

std::string LongTime(const google::protobuf::Duration& duration) {
  const double seconds = static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
  if (seconds < 0.0995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole < 6000) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 72 * 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} days {:02} h", Count(whole / 86400), whole / 3600 % 24);
}

std::string Time(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(time.seconds())));
}

std::string StateName(v1::RunState state) { return NameAfter("RUN_STATE_", v1::RunState_Name(state)); }
std::string StateName(v1::ItemState state) { return NameAfter("ITEM_STATE_", v1::ItemState_Name(state)); }
std::string ReasonName(v1::ErrorReason reason) { return NameAfter("ERROR_REASON_", v1::ErrorReason_Name(reason)); }
std::string WaitName(v1::WaitingOn::Reason reason) { return NameAfter("REASON_", v1::WaitingOn::Reason_Name(reason)); }
std::string WaitText(const v1::WaitingOn& waiting) {
  const std::string_view space = waiting.object().empty() ? "" : " ";
  return fmt::format("{}{}{}", WaitName(waiting.reason()), space, Safe(waiting.object()));
}
bool NeedsPerson(const v1::Run& run) {
  const v1::WaitingOn::Reason reason = run.waiting_on().reason();
  const bool is_open = run.state() == v1::RUN_STATE_PAUSED || run.state() == v1::RUN_STATE_RUNNING;
  if (is_open && reason == v1::WaitingOn::REASON_CONFIG) return true;
  return run.state() == v1::RUN_STATE_PAUSED &&
         (reason == v1::WaitingOn::REASON_REPAIR || reason == v1::WaitingOn::REASON_TARGET ||
          reason == v1::WaitingOn::REASON_EXPECT);
}
std::string OutcomeName(v1::AttemptOutcome outcome) {
  return NameAfter("ATTEMPT_OUTCOME_", v1::AttemptOutcome_Name(outcome));
}

std::string Cost(int64_t nano_usd, int64_t unpriced_attempts) {
  if (unpriced_attempts > 0) return "unpriced";
  return nano_usd == 0 ? "$0.00" : fmt::format("${:.4f}", static_cast<double>(nano_usd) / 1e9);
}

}  // namespace millrace::cli
