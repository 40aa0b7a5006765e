// Classification of a response by its HTTP status, for errors whose own words say nothing more exact.
#pragma once

#include "backends/sdk/backend.h"

namespace millrace::backend {

inline bool IsSuccess(int status) { return status >= 200 && status < 300; }

// Returns whether the status says that the model or the path does not exist. Both are the same for all calls of a
// target, whatever they ask.
inline bool IsNotThere(int status) { return status == 404 || status == 405 || status == 410; }

struct StatusMeaning {
  Outcome outcome;
  Reason reason;
};

// Returns the meaning of a status that is not 2xx. A redirect is ANSWERED_BAD: the server follows none, so the
// configured URL is wrong.
StatusMeaning MeaningOfStatus(int status);

// Returns the failure of a response with a status that is not 2xx, with the wait of its headers. `message` is put
// behind the status, cut and escaped; it may be the provider's words.
Failure FailureOfStatus(int status, const Headers& headers, std::string_view message);

}  // namespace millrace::backend
