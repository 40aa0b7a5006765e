// Stems of English words: the words without their endings of number and tense, so that `strike`, `strikes` and
// `striking` are equal. Removes few endings on purpose: a stem that joins two different words costs more than one that
// misses a pair.
#pragma once

#include <string>
#include <string_view>

namespace millrace {

// Returns the stem of a folded word. Returns words of other scripts, words with digits and words of less than 4 letters
// unchanged.
std::string Stem(std::string_view word);

}  // namespace millrace
