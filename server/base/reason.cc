#include "server/base/reason.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace millrace {
namespace {

using absl::StatusCode;

struct Row {
  Reason reason;
  std::string_view name;
  StatusCode code;
};

// A client chooses by the code what to do: INVALID_ARGUMENT change the request, NOT_FOUND change the name,
// FAILED_PRECONDITION change the state of the server or the data, UNAVAILABLE and RESOURCE_EXHAUSTED retry later.
constexpr Row kRows[] = {
    {Reason::kNone, "", StatusCode::kOk},
    {Reason::kInvalidField, "INVALID_FIELD", StatusCode::kInvalidArgument},
    {Reason::kInvalidDefinition, "INVALID_DEFINITION", StatusCode::kInvalidArgument},
    {Reason::kPipelineNotFound, "PIPELINE_NOT_FOUND", StatusCode::kNotFound},
    {Reason::kRunNotFound, "RUN_NOT_FOUND", StatusCode::kNotFound},
    {Reason::kStageNotFound, "STAGE_NOT_FOUND", StatusCode::kNotFound},
    {Reason::kItemNotFound, "ITEM_NOT_FOUND", StatusCode::kNotFound},
    {Reason::kModelNotFound, "MODEL_NOT_FOUND", StatusCode::kNotFound},
    {Reason::kRequestIdReused, "REQUEST_ID_REUSED", StatusCode::kAlreadyExists},
    {Reason::kWrongRunState, "WRONG_RUN_STATE", StatusCode::kFailedPrecondition},
    {Reason::kPipelineInUse, "PIPELINE_IN_USE", StatusCode::kFailedPrecondition},
    {Reason::kInvalidPageToken, "INVALID_PAGE_TOKEN", StatusCode::kInvalidArgument},
    {Reason::kDiskLow, "DISK_LOW", StatusCode::kResourceExhausted},
    {Reason::kStoreUnavailable, "STORE_UNAVAILABLE", StatusCode::kUnavailable},
    {Reason::kStoreCorrupt, "STORE_CORRUPT", StatusCode::kDataLoss},
    {Reason::kDraining, "DRAINING", StatusCode::kUnavailable},
    {Reason::kTooMany, "TOO_MANY", StatusCode::kResourceExhausted},
    {Reason::kFileNotAllowed, "FILE_NOT_ALLOWED", StatusCode::kPermissionDenied},
    {Reason::kFileError, "FILE_ERROR", StatusCode::kFailedPrecondition},
    {Reason::kBadRow, "BAD_ROW", StatusCode::kInvalidArgument},
    {Reason::kBadItemId, "BAD_ITEM_ID", StatusCode::kInvalidArgument},
    {Reason::kBadItem, "BAD_ITEM", StatusCode::kInvalidArgument},
    {Reason::kValidation, "VALIDATION", StatusCode::kFailedPrecondition},
    {Reason::kDropped, "DROPPED", StatusCode::kFailedPrecondition},
    {Reason::kNoGroup, "NO_GROUP", StatusCode::kFailedPrecondition},
    {Reason::kTooManyFailures, "TOO_MANY_FAILURES", StatusCode::kFailedPrecondition},
    {Reason::kExpectation, "EXPECTATION", StatusCode::kFailedPrecondition},
    {Reason::kNothingLeft, "NOTHING_LEFT", StatusCode::kFailedPrecondition},
    {Reason::kDeadline, "DEADLINE", StatusCode::kDeadlineExceeded},
    {Reason::kCancelled, "CANCELLED", StatusCode::kCancelled},
    {Reason::kRequestRefused, "REQUEST_REFUSED", StatusCode::kFailedPrecondition},
    {Reason::kProviderCredentials, "PROVIDER_CREDENTIALS", StatusCode::kFailedPrecondition},
    {Reason::kProviderQuota, "PROVIDER_QUOTA", StatusCode::kResourceExhausted},
    {Reason::kTargetFailed, "TARGET_FAILED", StatusCode::kUnavailable},
    {Reason::kPromptTooLong, "PROMPT_TOO_LONG", StatusCode::kFailedPrecondition},
    {Reason::kContentFilter, "CONTENT_FILTER", StatusCode::kFailedPrecondition},
    {Reason::kRefusal, "REFUSAL", StatusCode::kFailedPrecondition},
    {Reason::kTruncated, "TRUNCATED", StatusCode::kFailedPrecondition},
    {Reason::kEmptyAnswer, "EMPTY_ANSWER", StatusCode::kFailedPrecondition},
    {Reason::kNotJson, "NOT_JSON", StatusCode::kFailedPrecondition},
    {Reason::kSchema, "SCHEMA", StatusCode::kFailedPrecondition},
    {Reason::kResponseTooLarge, "RESPONSE_TOO_LARGE", StatusCode::kFailedPrecondition},
    {Reason::kBadResponse, "BAD_RESPONSE", StatusCode::kFailedPrecondition},
    {Reason::kUnknownOutcome, "UNKNOWN_OUTCOME", StatusCode::kUnavailable},
    {Reason::kTemplate, "TEMPLATE", StatusCode::kFailedPrecondition},
    {Reason::kSink, "SINK", StatusCode::kFailedPrecondition},
    {Reason::kMemoryLimit, "MEMORY_LIMIT", StatusCode::kResourceExhausted},
    {Reason::kInternal, "INTERNAL", StatusCode::kInternal},
    {Reason::kStoreHeld, "STORE_HELD", StatusCode::kFailedPrecondition},
    {Reason::kInvalidOffset, "INVALID_OFFSET", StatusCode::kOutOfRange},
    {Reason::kStoreVersion, "STORE_VERSION", StatusCode::kFailedPrecondition},
    {Reason::kDataDirUnusable, "DATA_DIR_UNUSABLE", StatusCode::kFailedPrecondition},
    {Reason::kProviderModel, "PROVIDER_MODEL", StatusCode::kFailedPrecondition},
    {Reason::kProviderHost, "PROVIDER_HOST", StatusCode::kFailedPrecondition},
};

const Row& RowOf(Reason reason) {
  const auto found =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.reason == reason; });
  if (found == std::end(kRows)) std::abort();
  return *found;
}

}  // namespace

std::string_view NameOf(Reason reason) { return RowOf(reason).name; }

std::optional<Reason> ReasonNamed(std::string_view name) {
  const auto found = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.name == name; });
  if (name.empty() || found == std::end(kRows)) return std::nullopt;
  return found->reason;
}

absl::StatusCode CodeOf(Reason reason) { return RowOf(reason).code; }

std::ostream& operator<<(std::ostream& out, Reason reason) { return out << NameOf(reason); }

}  // namespace millrace
