#include "client/cli/output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>

namespace millrace::cli {
namespace {

// Columns that a text takes on a terminal: its characters, near enough.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

void PrintJson(const google::protobuf::Message& message, Layout layout) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = layout == Layout::kIndented;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) {
    std::cerr << "millrace: the answer can't be printed as JSON\n";
    return;
  }
  std::cout << text;
  if (text.empty() || text.back() != '\n') std::cout << '\n';
  std::cout.flush();
}

int PrintError(const Status& status) {
  std::cerr << fmt::format("millrace: {} ({})\n", MessageOf(status), ReasonOf(status));
  for (const FieldViolation& violation : ViolationsOf(status)) {
    std::cerr << fmt::format("  {}: {}\n", violation.field, violation.description);
  }
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
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - Width(row[i]) + 2, ' ');
    }
    text.push_back('\n');
  }
  return text;
}

std::string Safe(std::string_view text, size_t limit) { return Excerpt(text, limit); }

std::string Count(int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return digits;
}

std::string Seconds(const google::protobuf::Duration& duration) {
  const double seconds = static_cast<double>(duration.seconds()) + duration.nanos() / 1e9;
  return seconds < 0.1 ? fmt::format("{:.2f}", seconds) : fmt::format("{:.1f}", seconds);
}

std::string Time(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(time.seconds())));
}

std::string StateName(v1::RunState state) {
  return v1::RunState_Name(state).substr(std::string_view("RUN_STATE_").size());
}

std::string StateName(v1::ItemState state) {
  return v1::ItemState_Name(state).substr(std::string_view("ITEM_STATE_").size());
}

std::string ReasonName(v1::ErrorReason reason) {
  return v1::ErrorReason_Name(reason).substr(std::string_view("ERROR_REASON_").size());
}

std::string Cost(int64_t nano_usd, int64_t unpriced_attempts) {
  if (unpriced_attempts > 0) return "unpriced";
  return nano_usd == 0 ? "$0.00" : fmt::format("${:.4f}", static_cast<double>(nano_usd) / 1e9);
}

}  // namespace millrace::cli
