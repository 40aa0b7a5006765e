// Result of a Converse call, from a whole response or from the parts of a stream.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "backends/bedrock/question.h"
#include "backends/sdk/backend.h"
#include "backends/sdk/http_call.h"

namespace millrace::backend::bedrock {

// Parts of an answer.
struct AnswerParts {
  std::string text;        // text blocks, joined. Reasoning is left out.
  int tool_calls = 0;      // blocks `toolUse`
  std::string tool_input;  // JSON of the last one
  std::string stop_reason;
  std::optional<int64_t> input_tokens;  // cached ones included
  std::optional<int64_t> output_tokens;
};

// Reads a member `usage`. Most models report the tokens that a prompt cache read or wrote beside `inputTokens`;
// OpenAI's models were seen to report them inside it, so `model` and the total decide.
void ReadUsage(const boost::json::value& usage, std::string_view model, AnswerParts& parts);

// Returns Done if the model stopped for a known reason. Fail (BAD_RESPONSE) for any other, because an answer that ended
// for an unknown reason may be cut; and for more than one call of the tool, of which one would be lost.
Action AnswerOf(AnswerParts parts, AnswerForm form);

// Reads a whole response.
Action ReadAnswer(const Response& response, AnswerForm form, std::string_view model);

}  // namespace millrace::backend::bedrock
