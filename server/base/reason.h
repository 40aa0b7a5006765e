// Reasons of errors, on which clients branch. One table (reason.cc) gives each reason its name and its one status code.
#pragma once

#include <optional>
#include <ostream>
#include <string_view>

#include "absl/status/status.h"

namespace millrace {

// Values equal those of millrace.v1.ErrorReason, whose comments describe them; tests/base/reason_test.cc compares the
// two.
enum class Reason {
  kNone = 0,  // of an OK status
  kInvalidField = 1,
  kInvalidDefinition = 2,
  kPipelineNotFound = 3,
  kRunNotFound = 4,
  kStageNotFound = 5,
  kItemNotFound = 6,
  kModelNotFound = 7,
  kRequestIdReused = 8,
  kWrongRunState = 9,
  kPipelineInUse = 10,
  kInvalidPageToken = 11,
  kDiskLow = 12,
  kStoreUnavailable = 13,
  kStoreCorrupt = 14,
  kDraining = 15,
  kTooMany = 16,
  kFileNotAllowed = 17,
  kFileError = 18,
  kBadRow = 19,
  kBadItemId = 20,
  kBadItem = 21,
  kValidation = 22,
  kDropped = 23,
  kNoGroup = 24,
  kTooManyFailures = 25,
  kExpectation = 26,
  kNothingLeft = 27,
  kDeadline = 28,
  kCancelled = 29,
  kRequestRefused = 30,
  kProviderCredentials = 31,
  kProviderQuota = 32,
  kTargetFailed = 33,
  kPromptTooLong = 34,
  kContentFilter = 35,
  kRefusal = 36,
  kTruncated = 37,
  kEmptyAnswer = 38,
  kNotJson = 39,
  kSchema = 40,
  kResponseTooLarge = 41,
  kBadResponse = 42,
  kUnknownOutcome = 43,
  kTemplate = 44,
  kSink = 45,
  kMemoryLimit = 46,
  kInternal = 47,
  kStoreHeld = 48,
  kInvalidOffset = 49,
  kStoreVersion = 50,
  kDataDirUnusable = 51,
  kProviderModel = 52,
  kProviderHost = 53,
};

// Returns the name without a prefix, such as "DISK_LOW"; empty for kNone.
std::string_view NameOf(Reason reason);

// Returns the reason of this name; nullopt for a name that this version does not know.
std::optional<Reason> ReasonNamed(std::string_view name);

// Returns the status code that every error of this reason has.
absl::StatusCode CodeOf(Reason reason);

// Prints the name in messages of tests.
std::ostream& operator<<(std::ostream& out, Reason reason);

}  // namespace millrace
