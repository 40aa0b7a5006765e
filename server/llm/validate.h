// Judges whether an answer can be used: complete, not empty, and of the schema. JSON that a model put into a fence or
// between sentences is taken out (server/text/salvage.h).
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "server/base/status.h"
#include "server/text/schema.h"

namespace millrace {

// Finish reasons as they are stored: stop, length, content_filter, refusal, other.
std::string_view FinishReasonName(backend::FinishReason reason);
backend::FinishReason FinishReasonOf(std::string_view name);

// Stored instead of a finish reason if no answer could be kept.
inline constexpr char kBadResponse[] = "bad_response";  // not of the provider's protocol
inline constexpr char kTooLarge[] = "too_large";        // cut by the limit of bytes

// The next step of a call after its answer was judged.
enum class Remedy {
  kNone,         // it can be used
  kRepair,       // ask again with the error
  kAgain,        // ask the same again
  kOtherTarget,  // this target would say the same
};

struct Verdict {
  Remedy remedy = Remedy::kNone;
  Status status;     // why the answer can't be used
  std::string text;  // an answer that can be used, or the JSON in it
};

// Judges an answer. `schema` may be null: any text will do. The text of an answer that ended with kBadResponse is what
// is wrong with it. A pure function, any thread.
Verdict Judge(std::string text, std::string_view finish_reason, const Schema* schema);

}  // namespace millrace
