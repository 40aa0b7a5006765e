// Body of a Converse request.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "millrace/v1/server_config.pb.h"
#include "server/base/status.h"

namespace millrace::backend::bedrock {

// Tool that a model must call if its answer has a schema; the input of the call is the answer.
inline constexpr char kAnswerTool[] = "answer";

// Form of the answer that a request asks for.
enum class AnswerForm {
  kText,  // text blocks
  kTool,  // the input of kAnswerTool; text if the model ignores the tool
};

struct ConverseQuestion {
  std::string body;  // JSON; equal questions give equal bytes
  AnswerForm form = AnswerForm::kText;
};

// Words a question. Converse requires that the roles `user` and `assistant` alternate, so neighbours with one role
// become one message, and system messages become the member `system`; blank texts, which it refuses, are left out.
// REQUEST_REFUSED for a question that Converse has no words for: a seed, another role, or no text of a user.
StatusOr<ConverseQuestion> MakeConverseQuestion(const v1::BedrockBackend& config, const Request& request);

}  // namespace millrace::backend::bedrock
