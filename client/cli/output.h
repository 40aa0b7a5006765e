// Output of commands: protobuf JSON or text on stdout, everything else on stderr. Text from items, models or servers is
// escaped so that it can't control the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/run.pb.h"
#include "server/base/status.h"

namespace millrace::cli {

// Exit statuses, documented in --help.
enum Exit : int {
  kDone = 0,
  kRunFailed = 1,
  kUsage = 2,
  kSomeFailed = 3,
  kUnreachable = 5,
  kNeedsPerson = 6,
  kInterrupted = 130,
};

// Returns why a message has no JSON; empty: it has.
std::string JsonFault(const google::protobuf::Message& message);

// Prints protobuf JSON on stdout, indented or on one line. If the message has no JSON (a time beyond the year 9999),
// says so on stderr and sets std::cout's failbit, which makes the command fail.
enum class Layout { kIndented, kLine };
void PrintJson(const google::protobuf::Message& message, Layout layout = Layout::kIndented);

// Prints the error with its wrong fields on stderr; returns its exit status.
int PrintError(const Status& status);
// Prints the error of a call to a model, and what its caller can do.
int PrintCallError(const Status& status);
// Returns the lines that PrintError prints.
std::string ErrorText(const Status& status);
int ExitOf(const Status& status);

// Formats rows as columns of the width that their cells need. The first row is the header; the last column is not
// padded. Cells are escaped.
std::string Table(const std::vector<std::vector<std::string>>& rows);

// Escapes untrusted text for a terminal, on one line and at most `limit` bytes: control characters, invisible
// characters, characters that change the writing direction, and bytes that are not UTF-8. (terminal_text.cc)
std::string Safe(std::string_view text, size_t limit = 200);
// Returns the number of terminal columns of such a text. (terminal_text.cc)
size_t DisplayWidth(std::string_view text);

// 7,483
std::string Count(int64_t number);
// A measure with its significant digits: 0.857, 12.3, 1,234, 1234.6
std::string Figure(double value);
// Seconds with their significant digits: 3.2
std::string Seconds(const google::protobuf::Duration& duration);
// 35 ms, 3.2 s, 4 min 05 s, 2 h 03 min, 3 days 04 h
std::string LongTime(const google::protobuf::Duration& duration);
// 2026-11-21 10:31:39 UTC; `-` if the time is not set.
std::string Time(const google::protobuf::Timestamp& time);
// RUNNING for RUN_STATE_RUNNING.
std::string StateName(v1::RunState state);
std::string StateName(v1::ItemState state);
// TARGET_FAILED for ERROR_REASON_TARGET_FAILED.
std::string ReasonName(v1::ErrorReason reason);
// USER for REASON_USER.
std::string WaitName(v1::WaitingOn::Reason reason);
// REPAIR openai/gpt-4o-mini: the reason and its object.
std::string WaitText(const v1::WaitingOn& waiting);
// Returns true if the run waits until a person acts: it is paused because a target must be repaired or fails for too
// long, or because a check failed; or this process does not have the configuration that the run needs.
bool NeedsPerson(const v1::Run& run);
// ANSWERED for ATTEMPT_OUTCOME_ANSWERED.
std::string OutcomeName(v1::AttemptOutcome outcome);
// $0.0123; `unpriced` if an attempt has no known price.
std::string Cost(int64_t nano_usd, int64_t unpriced_attempts);

}  // namespace millrace::cli
