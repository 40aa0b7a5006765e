// `local`: answers by rules and statistics over the words of the question, without any model. It is honest about that:
// what it gives is what a property's annotation `x-millrace-local` asks for, or the plainest value of its type.
#pragma once

#include <memory>

#include "backends/sdk/backend.h"

namespace millrace::backend {

// The text that it looks at is the first user message; what follows in a conversation is about its answer. Without a
// schema the answer is the text's first sentence. A property's annotation is one of
//   first_line, longest_line   of the lines that are not empty, without a leading `- ` or `* `
//   top_terms                  the most frequent words of three letters and more that are no function words
//   count_lines                the number of such lines
//   {"regex": PATTERN}         the first match (its first group, where there is one); for a list every match
//   {"const": VALUE}           this value
// else, and where that finds nothing or no value of the property's `enum`, by type: enum → the value named most often,
// string → the first sentence that fits, array → the most frequent terms (of an enum: those of its values that are
// named), number → its minimum, boolean → false. An annotation of another kind is refused, and so is a schema that has
// no end or asks for more than 10,000 values.
std::unique_ptr<Backend> MakeLocal();

}  // namespace millrace::backend
