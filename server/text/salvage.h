// Finds the JSON in the text that a model wrote around it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/base/status.h"
#include "server/text/schema.h"

namespace millrace {

// Texts of an answer that may be the requested JSON, found in one way. None overlaps another.
using JsonCandidates = std::vector<std::string_view>;

// Returns the candidates of an answer, the most likely way first: the whole text; the text after the last `</think>`;
// the contents of fenced blocks; texts from an opening bracket to its closing one; the text from the first opening
// bracket to the last closing one. At most 32 candidates of each way; none is parsed yet. The time is linear in the
// answer.
std::vector<JsonCandidates> FindJson(std::string_view answer);

// Returns the JSON in an answer that fits the schema, as the model wrote it. Candidates of a less likely way count only
// if none of a likelier way fits. NOT_JSON if the answer has no JSON; SCHEMA if it has JSON and none fits, or if
// several different values of one way fit: which of them is meant is not known.
StatusOr<std::string> FittingJson(std::string_view answer, const Schema& schema);

}  // namespace millrace
