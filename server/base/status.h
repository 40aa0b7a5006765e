// Errors as values: absl::Status with a reason that clients branch on, the fields that were wrong, and when a retry
// helps. The API turns them into google.rpc details; nothing is lost on the way.
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
  std::string field;  // path, such as `stages[2].model`; for files with place: `pipeline.yaml:12:5: stages[2].model`
  std::string description;  // what was expected, what was there, and what helps
};

// Returns an error with the reason's code. The message is one sentence: what, where, limit, got; no secrets, no
// absolute paths, at most 1 KiB (longer ones are cut).
Status MakeError(Reason reason, std::string_view message);

// Returns the error of a request or definition with wrong fields; at most 100 are kept.
Status MakeFieldError(Reason reason, std::string_view message, const std::vector<FieldViolation>& violations);

// Returns an error that another process made: its code and reason may be unknown here, and are kept as they are.
Status ErrorFromPeer(absl::StatusCode code, std::string_view reason, std::string_view message,
                     const std::vector<FieldViolation>& violations);

// The same error, to be tried again after `delay`.
Status WithRetryDelay(Status status, Duration delay);

// Returns the reason: kNone for OK, kInternal for an error without one or with one that this version does not know.
Reason ReasonOf(const Status& status);

// Returns whether the error was given a reason. Errors of libraries have none.
bool HasReason(const Status& status);

// Returns the reason's name as it was given, known here or not; "INTERNAL" for an error without one, "" for OK.
std::string ReasonNameOf(const Status& status);

// The message. (Debian's abseil has a string_view of its own, which std's does not convert to or from.)
std::string_view MessageOf(const Status& status);

// The wrong fields.
std::vector<FieldViolation> ViolationsOf(const Status& status);

// The same as fields of a larger message, which has the wrong one at `path`; an error without fields is about all of
// it.
std::vector<FieldViolation> ViolationsBelow(std::string_view path, const Status& status);

// When a retry helps.
std::optional<Duration> RetryDelayOf(const Status& status);

// The same error with `context: ` before its message; reason and details are kept.
Status WithContext(const Status& status, std::string_view context);

// At most `limit` bytes of `text` for a message: control characters and broken UTF-8 escaped, cut with `…`.
std::string Excerpt(std::string_view text, size_t limit = 64);

}  // namespace millrace

// Returns an error of `expression` from a function that returns Status or StatusOr.
#define MR_RETURN_IF_ERROR(expression)                                              \
  do {                                                                              \
    if (::absl::Status mr_status = (expression); !mr_status.ok()) return mr_status; \
  } while (false)

// Declares or assigns `target` from a StatusOr, or returns its error.
#define MR_ASSIGN_OR_RETURN(target, expression) \
  MR_ASSIGN_OR_RETURN_IMPL(MR_CONCAT(mr_value_, __LINE__), target, expression, return )

// The same two in a coroutine.
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
