// Backend `local`: answers by rules and statistics over the words of the question, without a model. It does not pretend
// otherwise: a value comes from its property's annotation `x-millrace-local`, or is the simplest value of the
// property's type.
#pragma once

#include <memory>

#include "backends/sdk/backend.h"
#include "backends/sdk/kind.h"

namespace millrace::backend {

// The rules read the first user message; later messages of a conversation are about the answer. Without a schema, the
// answer is the first sentence of the text. A property's annotation is one of
//   first_line, longest_line   one of the lines that are not empty, without a leading `- ` or `* `
//   top_terms                  the most frequent words of at least three letters that are not function words
//   count_lines                the number of such lines
//   {"regex": PATTERN}         the first match (its first group if there is one); for a list, every match, perhaps none
//   {"const": VALUE}           this value
// Without an annotation, or if it finds nothing or a value that is not in the property's `enum`, the type decides: enum
// → the value named most often; string → the first sentence that fits; array → the most frequent terms (with an enum:
// those of its values that are named); number → its minimum; boolean → false. Refused: an unknown annotation, a schema
// that never ends, a schema that needs more than 10,000 values.
//
// It embeds by hashing words and their parts (embedding.h): texts that share words have similar vectors, texts that
// mean the same in other words do not.
std::unique_ptr<Backend> MakeLocal();

BackendKind LocalKind();

}  // namespace millrace::backend
