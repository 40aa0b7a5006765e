// The question after an answer that does not fit the schema: the conversation continues with the answer and its fault.
// If some fields of the answer fit, only the others are asked for (server/text/faulty_fields.h), and they are put into
// the answer that is there.
#pragma once

#include <string>
#include <string_view>

#include "backends/sdk/backend.h"
#include "server/base/status.h"
#include "server/llm/validate.h"
#include "server/text/schema.h"

namespace millrace {

struct Repair {
  backend::Request request;
  std::string answer;  // the JSON object that lacks the fields that are asked for; empty: all of it is asked for
};

// Returns the repair of an answer to `question`. `schema` is that of the call, which the question's own differs from if
// it is a repair of fields. A pure function, any thread.
Repair PlanRepair(backend::Request question, std::string_view schema, const std::string& answer, const Status& fault,
                  bool may_ask_fields);

// Judges an answer to a repair of fields: the fields, which fit `part` and are put into `answer`, or else a whole
// answer that fits `whole`. A pure function, any thread.
Verdict JudgeFields(std::string text, std::string_view finish_reason, const Schema& whole, const Schema& part,
                    std::string_view answer);

}  // namespace millrace
