// Errors as values: absl::Status with a reason on which clients branch, the fields that were wrong, and the delay after
// which a retry helps. The API turns all of them into google.rpc details.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/reason.h"

namespace millrace {

using absl::Status;
using absl::StatusOr;

// One wrong field of a request or definition.
struct FieldViolation {
  std::string field;        // path, such as `stages[2].model`; in a file `pipeline.yaml:12:5: stages[2].model`
  std::string description;  // the value that was expected, the value that was found, and how to correct it
};

// Returns an error with the reason's code. The message is one sentence that says what is wrong, where, the limit and
// the value found. It has no secrets and no absolute paths; beyond 1 KiB it is cut.
Status MakeError(Reason reason, std::string_view message);

// Returns the error of a request or definition with wrong fields. Keeps the first 100 violations.
Status MakeFieldError(Reason reason, std::string_view message, const std::vector<FieldViolation>& violations);

// Returns an error that another process made. Keeps its code and reason even if this version does not know them.
Status ErrorFromPeer(absl::StatusCode code, std::string_view reason, std::string_view message,
                     const std::vector<FieldViolation>& violations);

// Returns the error with the delay after which a retry may help.
Status WithRetryDelay(Status status, Duration delay);

// Returns the reason: kNone for OK, kInternal for an error without a reason or with one that this version does not
// know. Errors of libraries with code CANCELLED and DEADLINE_EXCEEDED have kCancelled and kDeadline.
Reason ReasonOf(const Status& status);

// Returns true if the error was made with a reason. Errors of libraries have none.
bool HasReason(const Status& status);

// Returns the name of the reason, even of one that this version does not know. For an error without a reason, returns
// "CANCELLED", "DEADLINE" or "INTERNAL" by its code; for OK, "".
std::string ReasonNameOf(const Status& status);

// Returns the message, valid as long as `status`. (The string_view of Debian's abseil does not convert to std's.)
std::string_view MessageOf(const Status& status);

// Returns the wrong fields; empty if the error has none.
std::vector<FieldViolation> ViolationsOf(const Status& status);

// Returns the wrong fields of a message as fields of the larger message that has it at `path`. An error without fields
// becomes one violation of the field at `path`.
std::vector<FieldViolation> ViolationsBelow(std::string_view path, const Status& status);

// Returns the delay after which a retry may help; nullopt if the error has none.
std::optional<Duration> RetryDelayOf(const Status& status);

// Returns the error with `context: ` before its message. Keeps code, reason and details.
Status WithContext(const Status& status, std::string_view context);

// Returns at most `limit` bytes of `text` for a message. Escapes control characters and broken UTF-8; appends `…` if it
// cuts.
std::string Excerpt(std::string_view text, size_t limit = 64);

}  // namespace millrace

// Returns an error of `expression` from a function that returns Status or StatusOr.
#define MR_RETURN_IF_ERROR(expression)                                              \
  do {                                                                              \
    if (::absl::Status mr_status = (expression); !mr_status.ok()) return mr_status; \
  } while (false)

// Declares or assigns `target` from the StatusOr `expression`, or returns its error. A plain statement, so not for the
// body of an `if` without braces.
#define MR_ASSIGN_OR_RETURN(target, expression) \
  MR_ASSIGN_OR_RETURN_IMPL(MR_CONCAT(mr_value_, __LINE__), target, expression, return )

// Do the same in a coroutine.
#define MR_CO_RETURN_IF_ERROR(expression)                                              \
  do {                                                                                 \
    if (::absl::Status mr_status = (expression); !mr_status.ok()) co_return mr_status; \
  } while (false)
#define MR_CO_ASSIGN_OR_RETURN(target, expression) \
  MR_ASSIGN_OR_RETURN_IMPL(MR_CONCAT(mr_value_, __LINE__), target, expression, co_return )

#define MR_CONCAT_IMPL(a, b) a##b
#define MR_CONCAT(a, b) MR_CONCAT_IMPL(a, b)
#define MR_ASSIGN_OR_RETURN_IMPL(result, target, expression, leave) \
  auto result = (expression);                                       \
  if (!result.ok()) leave result.status();                          \
  target = std::move(result).value()
