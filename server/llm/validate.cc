#include "server/llm/validate.h"

#include <fmt/format.h>

#include "server/text/salvage.h"

namespace millrace {
namespace {

using backend::FinishReason;

Verdict Unusable(Remedy remedy, Reason reason, std::string_view message) {
  return {.remedy = remedy, .status = MakeError(reason, message), .text = {}};
}

}  // namespace

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContentFilter:
      return "content_filter";
    case FinishReason::kRefusal:
      return "refusal";
    case FinishReason::kOther:
      break;
  }
  return "other";
}

FinishReason FinishReasonOf(std::string_view name) {
  for (const FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kContentFilter, FinishReason::kRefusal}) {
    if (FinishReasonName(reason) == name) return reason;
  }
  return FinishReason::kOther;
}

Verdict Judge(std::string text, std::string_view finish_reason, const Schema* schema) {
  if (finish_reason == kBadResponse) {
    return Unusable(Remedy::kAgain, Reason::kBadResponse,
                    fmt::format("the provider's answer can't be used: {}", Excerpt(text, 300)));
  }
  if (finish_reason == kTooLarge) {
    return Unusable(Remedy::kOtherTarget, Reason::kResponseTooLarge, "the answer is larger than the limit of bytes");
  }
  switch (FinishReasonOf(finish_reason)) {
    case FinishReason::kLength:
      return Unusable(Remedy::kOtherTarget, Reason::kTruncated, "the answer was cut by the limit of tokens");
    case FinishReason::kContentFilter:
      return Unusable(Remedy::kOtherTarget, Reason::kContentFilter, "the provider's filter stopped the answer");
    case FinishReason::kRefusal:
      return Unusable(Remedy::kOtherTarget, Reason::kRefusal, fmt::format("the model refused: {}", Excerpt(text, 200)));
    case FinishReason::kOther:
      // Only ends that are known to be good are: an answer may have been cut for a reason that is new.
      return Unusable(Remedy::kAgain, Reason::kBadResponse,
                      "the answer ended for a reason that the server does not know");
    case FinishReason::kStop:
      break;
  }
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    return Unusable(Remedy::kAgain, Reason::kEmptyAnswer, "the answer is empty");
  }
  if (schema == nullptr) return {.remedy = Remedy::kNone, .status = absl::OkStatus(), .text = std::move(text)};

  StatusOr<std::string> fitting = FittingJson(text, *schema);
  if (!fitting.ok()) return {.remedy = Remedy::kRepair, .status = fitting.status(), .text = {}};
  return {.remedy = Remedy::kNone, .status = absl::OkStatus(), .text = *std::move(fitting)};
}

}  // namespace millrace
